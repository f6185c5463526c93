// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Instrument, Margin, Portfolio, PriceStatus} from "./Types.sol";
import {ICoverModule} from "./ICoverModule.sol";
import {IHaircutRegistry} from "./IHaircutRegistry.sol";
import {IOracleAdapter} from "./IOracleAdapter.sol";
import {IParameterModule} from "./IParameterModule.sol";
import {IReportModule} from "./IReportModule.sol";
import {IRiskModule} from "./IRiskModule.sol";

/// @notice The terms on which an instrument trades now.
struct Market {
    /// Mark price, dollars per unit with 18 decimals. Of a perpetual: the index price. Final: what a unit is worth.
    uint256 mark;
    PriceStatus status;
    /// Cumulative funding, dollars per unit with 18 decimals, signed.
    int256 fundingIndex;
    /// In millionths of the notional.
    uint256 takerFee;
    uint256 makerFee;
    /// Largest open interest, dollars with 18 decimals.
    uint256 openInterestCap;
    /// Jump that `lossCapacity` must carry, bps of open interest.
    uint256 stressJump;
    /// Only trades that reduce both sides.
    bool closed;
    /// Index price of the underlying, dollars with 18 decimals.
    uint256 index;
    /// Whether the surface that a dated instrument is priced with is too old: it adds no risk and settles nothing.
    bool stale;
    /// Whether the fixing is complete: the mark is what a unit settles at for ever.
    bool isFinal;
}

/// @notice Factors that the ledger needs beside a margin.
struct Factors {
    /// Initial factor k, bps.
    uint256 initialFactor;
    /// Share of the loss capacity that one underlying's stressed open interest may take, bps.
    uint256 stressShare;
    /// How much unsettled winnings may exceed, dollars with 18 decimals, before cash withdrawals wait.
    uint256 winnersCap;
    /// Most that the waterfall pays for one bid, dollars with 18 decimals.
    uint256 payoutCap;
    /// Accounts whose maintenance margin or debt is below this may be taken whole, dollars with 18 decimals.
    uint256 dust;
    /// Whether the settlement token has left its peg: new risk stops.
    bool depegged;
}

/// @title Portfolio in; equity and margins out. docs/margin.md is the specification.
interface IMarginEngine is
    IHaircutRegistry,
    IOracleAdapter,
    IParameterModule,
    IReportModule,
    IRiskModule,
    ICoverModule
{
    /// It has no market, no one spelling, or is dated and has neither a reported surface nor a complete fixing.
    error UnknownInstrument(Instrument instrument);
    /// What was given as the table of the normal distribution is not it.
    error WrongTable(address table, bytes32 codeHash);

    /// @notice The code of `IParameterModule`, which runs on the engine's storage. Its own storage counts for nothing.
    function PARAMETER_MODULE() external view returns (address);
    /// @notice Likewise the code of `IReportModule`.
    function REPORT_MODULE() external view returns (address);
    /// @notice Likewise the code of `IRiskModule`.
    function RISK_MODULE() external view returns (address);
    /// @notice Likewise the code of `ICoverModule`.
    function COVER_MODULE() external view returns (address);
    /// @notice Where the cubics of the normal distribution are.
    function NORMAL_TABLE() external view returns (address);
    /// @notice Equity and both margins of a portfolio at the prices of this moment.
    function margin(Portfolio calldata portfolio) external view returns (Margin memory);
    /// @notice The same, and fixes every price it reads for the rest of the transaction.
    function assess(Portfolio calldata portfolio) external returns (Margin memory);
    /// @notice The terms of an instrument; fixes its price for the rest of the transaction.
    function market(Instrument instrument) external returns (Market memory);
    /// @notice The same without fixing anything.
    function marketView(Instrument instrument) external view returns (Market memory);
    function factors() external view returns (Factors memory);
}
