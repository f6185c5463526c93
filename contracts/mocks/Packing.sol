// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Account, Holding, Instrument, Position} from "../../interfaces/Types.sol";
import {Accounts} from "../libraries/Accounts.sol";
import {Holdings} from "../libraries/Holdings.sol";
import {Instruments} from "../libraries/Instruments.sol";
import {Positions} from "../libraries/Positions.sol";

/// @title Packed ids and balances, one call each way
contract Packing {
    using Accounts for Account;
    using Holdings for Holding;
    using Instruments for Instrument;
    using Positions for Position;

    function account(address owner, uint96 subAccount) external pure returns (Account) {
        return Accounts.pack(owner, subAccount);
    }

    function partsOfAccount(Account packed) external pure returns (address owner, uint96 subAccount) {
        return (packed.owner(), packed.subAccount());
    }

    function perpetual(uint16 underlying) external pure returns (Instrument) {
        return Instruments.perpetual(underlying);
    }

    function future(uint16 underlying, uint256 day) external pure returns (Instrument) {
        return Instruments.future(underlying, day);
    }

    function option(uint16 underlying, uint256 day, uint256 mantissa, uint256 exponent, bool put)
        external
        pure
        returns (Instrument)
    {
        return Instruments.option(underlying, day, mantissa, exponent, put);
    }

    function termsOfInstrument(Instrument packed)
        external
        pure
        returns (bool isCanonical, bool isDated, uint256 day, uint256 expiry, uint256 strike, bool isPut)
    {
        return (
            packed.isCanonical(), packed.isDated(), packed.expiryDay(), packed.expiry(), packed.strike(), packed.isPut()
        );
    }

    function keysOfInstrument(Instrument packed) external pure returns (uint256 strikeKey, uint256 expiryKey) {
        return (packed.strikeKey(), packed.expiryKey());
    }

    function partsOfInstrument(Instrument packed)
        external
        pure
        returns (uint256 kind, uint16 underlying, bool isPerpetual)
    {
        return (packed.kind(), packed.underlying(), packed.isPerpetual());
    }

    function position(Instrument instrument, int256 size, int256 quote) external pure returns (Position) {
        return Positions.pack(instrument, size, quote);
    }

    function partsOfPosition(Position packed) external pure returns (Instrument instrument, int256 size, int256 quote) {
        return (packed.instrument(), packed.size(), packed.quote());
    }

    function holding(uint16 asset, uint128 amount) external pure returns (Holding) {
        return Holdings.pack(asset, amount);
    }

    function partsOfHolding(Holding packed) external pure returns (uint16 asset, uint128 amount) {
        return (packed.asset(), packed.amount());
    }
}
