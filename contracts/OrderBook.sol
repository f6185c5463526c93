// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Delegation, ITradingModule, Order} from "../interfaces/ITradingModule.sol";
import {Account} from "../interfaces/Types.sol";
import {DelegateHash} from "./libraries/DelegateHash.sol";
import {OrderHash} from "./libraries/OrderHash.sol";
import {Gate} from "./Gate.sol";

/// @title What is known of signed intents: their digests, and how much of each order is filled
/// @dev The domain is the ClearingHouse's also where a module runs by delegatecall: it is rebuilt from `address(this)`.
abstract contract OrderBook is Gate, EIP712, ITradingModule {
    constructor() EIP712("Plimsoll", "1") {}

    /// @inheritdoc ITradingModule
    function filledOf(bytes32 orderHash) external view returns (uint256) {
        return _filled[orderHash];
    }

    /// @inheritdoc ITradingModule
    function hashOrder(Order calldata order) public view returns (bytes32) {
        return _hashTypedDataV4(OrderHash.hash(order));
    }

    /// @inheritdoc ITradingModule
    function hashDelegate(Account account, address delegate, Delegation calldata terms, uint256 nonce, uint256 deadline)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(DelegateHash.hash(account, delegate, terms, nonce, deadline));
    }
}
