// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Delegation} from "../../interfaces/ITradingModule.sol";
import {Account} from "../../interfaces/Types.sol";

/// @title The EIP-712 struct hash of a grant to a delegate
library DelegateHash {
    bytes32 internal constant TYPEHASH = keccak256(
        "Delegate(bytes32 account,address delegate,uint256 expiry,bool mayBid,bool reduceOnly,uint256 maxLeverage,"
        "uint256 markets,uint256 nonce,uint256 deadline)"
    );

    function hash(Account account, address delegate, Delegation calldata terms, uint256 nonce, uint256 deadline)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                TYPEHASH,
                account,
                delegate,
                terms.expiry,
                terms.mayBid,
                terms.reduceOnly,
                terms.maxLeverage,
                terms.markets,
                nonce,
                deadline
            )
        );
    }
}
