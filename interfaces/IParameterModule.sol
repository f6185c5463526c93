// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Kind} from "./IHaircutRegistry.sol";

/// @title How parameters change: by bounds, delays, steps and ramps
interface IParameterModule {
    event ParameterSubmitted(Kind indexed kind, uint16 indexed id, uint256 value, uint256 readyAt);
    event ParameterAccepted(Kind indexed kind, uint16 indexed id, uint256 oldValue, uint256 newValue);
    event ParameterRevoked(Kind indexed kind, uint16 indexed id, uint256 value);
    event Wired(address clearingHouse);
    event Sealed();

    /// The word breaks a bound; `field` counts from the lowest field of the layout.
    error ParameterOutOfBounds(Kind kind, uint16 id, uint256 field, uint256 value);
    /// A loosening moves a field by more than one step.
    error StepTooLarge(Kind kind, uint16 id, uint256 field, uint256 oldValue, uint256 newValue);
    /// Submitted too recently.
    error TooEarly(Kind kind, uint16 id, uint256 readyAt);
    error SubmissionExpired(Kind kind, uint16 id, uint256 expiredAt);
    error NothingSubmitted(Kind kind, uint16 id);
    /// A word that can be set once only.
    error AlreadySet(Kind kind, uint16 id);
    error AlreadySealed();
    error NotSealed();
    /// `seal` needs a ClearingHouse.
    error NotWired();
    error AlreadyWired(address clearingHouse);
    /// A market feed needs a redemption rate to compare with.
    error RateSourceMissing(uint16 asset);

    /// @notice Sets a parameter at once. Only before `seal`, only by the governor. Bounds hold as ever.
    function setUp(Kind kind, uint16 id, uint256 value) external;
    /// @notice Has the funding index of an underlying start elsewhere than at zero: at that of the engine which this
    /// one shall replace. Only before `seal`, only by the governor; ends what was reported before.
    function startFunding(uint16 underlying, int112 index) external;
    /// @notice Names the ClearingHouse. Once, before `seal`.
    function wire(address clearingHouse) external;
    /// @notice Ends the time of set-up for good. Every delay binds everybody from here.
    function seal() external;

    /// @notice Proposes a word. One that only tightens (and touches no range, window or fee) is accepted at once, and
    /// ramps; every other waits `DELAY` for `accept`.
    function submit(Kind kind, uint16 id, uint256 value) external;
    /// @notice Puts a submitted word in force. Anyone may call. Reverts before its time, after its expiry, or when it
    /// moves a field by more than a step.
    function accept(Kind kind, uint16 id) external;
    /// @notice Withdraws a submitted word. Governor or guardian.
    function revoke(Kind kind, uint16 id) external;
}
