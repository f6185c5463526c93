// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Account} from "../../interfaces/Types.sol";

/// @title An account id: owner 160 (high) | sub-account number 96
library Accounts {
    function pack(address owner_, uint96 subAccount_) internal pure returns (Account) {
        return Account.wrap(bytes32((uint256(uint160(owner_)) << 96) | subAccount_));
    }

    function owner(Account account) internal pure returns (address) {
        // Lossless: 256 - 96 = 160 bits remain after the shift.
        return address(uint160(uint256(Account.unwrap(account)) >> 96));
    }

    function subAccount(Account account) internal pure returns (uint96) {
        // Truncation is the purpose: the low 96 bits are the number.
        return uint96(uint256(Account.unwrap(account)));
    }

    function equals(Account a, Account b) internal pure returns (bool) {
        return Account.unwrap(a) == Account.unwrap(b);
    }
}
