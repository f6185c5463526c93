// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Price, PriceStatus} from "./Types.sol";

/// @notice How a price source is read.
enum SourceKind {
    NONE,
    CHAINLINK,
    PYTH
}

/// @notice The volatility of an underlying as it was last sampled. docs/ledger.md, section 3.
struct Volatility {
    /// The last sample, dollars with 18 decimals; zero before the first.
    uint256 price;
    /// The hour that it is of: seconds / 3600.
    uint256 hour;
    /// Variance of an hour's return, 18 decimals.
    uint256 variance;
    /// What multiplies the scan range for initial margin, bps.
    uint256 gauge;
    /// What multiplies it for maintenance margin now, bps.
    uint256 maintenanceGauge;
}

/// @title Sources in, one checked price with a band, an age and a status out
interface IOracleAdapter {
    /// A price was stored. `index` is the last good price from now on.
    event Observed(uint16 indexed underlying, uint256 index, uint256 stable, PriceStatus status);
    /// Rates of a yield token were stored: units of its underlying with 18 decimals, and for how many seconds a market
    /// discount beyond the bound counts as seen.
    event RateObserved(uint16 indexed asset, uint256 rate, uint256 market, uint256 credit);

    /// The transaction carries too little gas to read a source safely: retry with more.
    error InsufficientGas(uint256 available, uint256 needed);
    /// A new source differs from the one that it replaces by more than the bound.
    error SourceDisagrees(uint16 underlying, uint256 newPrice, uint256 oldPrice, uint256 bound);
    /// A new source gives no usable price.
    error SourceUnusable(uint16 underlying, address source, PriceStatus status);
    /// The pinned decimals of a source differ from what it reports.
    error DecimalsMismatch(address source, uint256 pinned, uint256 reported);
    /// A price can be frozen only after its feed has been broken for `FREEZE_AFTER`.
    error NotBrokenLongEnough(uint16 underlying, uint256 since);
    /// The underlying has no source.
    error UnknownUnderlying(uint16 underlying);
    /// Volatility and fixings are taken from the rounds of a Chainlink source, and the underlying has none.
    error RoundsMissing(uint16 underlying);
    /// This transaction has acted on the price already, and this observation finds it doubtful: observe before acting.
    error PriceAlreadyFixed(uint16 underlying, PriceStatus status);
    error UpdateFeeMissing(uint256 fee, uint256 available);

    /// @notice Reads both sources of each underlying, credits the interval since the last observation to the stable
    /// price, and stores price and status. Anyone, at any time: being poked more often changes nothing but freshness.
    function observe(uint16[] calldata underlyings) external;
    /// @notice The same for the redemption rate and the market of yield tokens; plain assets are skipped.
    function observeRates(uint16[] calldata assets) external;
    /// @notice Passes signed Pyth updates on, paying the fee from `msg.value`; the rest returns to the caller.
    function updatePyth(address pyth, bytes[] calldata updates) external payable;
    /// @notice The price as a margin check would see it now.
    function price(uint16 underlying) external view returns (Price memory);
    /// @notice When the last good observation was made, seconds.
    function observedAt(uint16 underlying) external view returns (uint256);
    /// @notice The gauges of an underlying now, and what they come from.
    function volatility(uint16 underlying) external view returns (Volatility memory);
    /// @notice When prices became usable after the last sequencer outage: back-up time plus grace; zero without a feed,
    /// the largest number while the sequencer is down or cannot be asked.
    function liveSince() external view returns (uint256);
    /// @notice How long a feed must have given nothing good before governance may set its price, seconds.
    function FREEZE_AFTER() external view returns (uint256);
}
