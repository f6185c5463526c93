// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {CollateralTerms, CollateralValue} from "./IHaircutRegistry.sol";
import {Margin, MarginParts, Portfolio, UnderlyingRisk} from "./Types.sol";

/// @title Why a margin is what it is, for people to look at
interface IRiskModule {
    /// @notice `IMarginEngine.margin` in parts, with the risk of each underlying in ascending order of first
    /// appearance.
    function breakdown(Portfolio calldata portfolio)
        external
        view
        returns (Margin memory, MarginParts memory initial, MarginParts memory maintenance, UnderlyingRisk[] memory);
    /// @notice What an amount of an asset, held alone, counts for.
    function explain(uint16 asset, uint256 amount) external view returns (CollateralValue memory);
    /// @notice The terms of an asset that are no parameters: with `parameter`, all that a margin depends on.
    function collateralTerms(uint16 asset) external view returns (CollateralTerms memory);
}
