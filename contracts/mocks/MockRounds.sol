// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title A Chainlink-like feed with a history that it is told
contract MockRounds {
    error NoData();

    struct Round {
        int256 answer;
        uint256 updatedAt;
        bool broken;
    }

    uint8 public immutable decimals;
    uint80 public latestRound;
    bool private _forgets;
    mapping(uint80 round => Round) private _rounds;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    /// @notice Reports a round, which becomes the latest one.
    function set(uint80 round, int256 answer, uint256 updatedAt) external {
        _rounds[round] = Round(answer, updatedAt, false);
        latestRound = round;
    }

    /// @notice From here on a round cannot be read.
    function lose(uint80 round) external {
        _rounds[round].broken = true;
    }

    /// @notice From here on every number is answered with the latest round, as by adapters that keep no history.
    function forget() external {
        _forgets = true;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(latestRound);
    }

    function getRoundData(uint80 round) public view returns (uint80, int256, uint256, uint256, uint80) {
        Round memory found = _rounds[_forgets ? latestRound : round];
        if (found.broken) revert NoData();
        return (round, found.answer, found.updatedAt, found.updatedAt, round);
    }
}
