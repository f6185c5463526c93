// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Kind} from "./IHaircutRegistry.sol";

/// @title What a parameter word may be and how far it may move at once: pure rules over one table of fields
/// @dev Errors are those of `IHaircutRegistry`.
interface IParameterRules {
    /// @notice Reverts with `ParameterOutOfBounds` unless the id exists for the kind, every field lies within its
    /// bounds, nothing lies above the last field, and fields that belong together fit each other.
    function requireValid(Kind kind, uint16 id, uint256 word) external pure;
    /// @notice Reverts with `ParameterOutOfBounds` unless the closed form of the scan holds at every point of a ramp
    /// between two UNDERLYING words, tails and every gauge included: the larger range with the smaller window must
    /// pass.
    function requireScanBound(uint16 id, uint256 from, uint256 to) external pure;
    /// @notice Whether a word may take effect at once: it replaces one, loosens no field, and leaves range and window.
    function isTightening(Kind kind, uint256 old, uint256 word) external pure returns (bool);
    /// @notice Reverts with `StepTooLarge` when a word loosens a field of the one that it replaces by more than a step:
    /// a fifth of its value (or 1); for a limit, to twice its value or to 2^(width/2), whichever is more.
    /// @dev A first word, and kinds without risk fields, have no steps.
    function requireSteps(Kind kind, uint16 id, uint256 old, uint256 word) external pure;
}
