// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title A Chainlink-like feed that says what it is told and misbehaves on demand
/// @dev While it behaves, one slot and no checks: what the peers' gas was measured with.
contract MockFeed {
    enum Mode {
        BEHAVE,
        REVERT,
        /// Spends all the gas it is given.
        BURN,
        /// Returns more than a caller could afford to copy.
        BOMB,
        /// Returns a word instead of five.
        SHORT,
        /// Reverts with more than a caller could afford to copy.
        REVERT_BOMB
    }

    error Misbehaving();

    uint256 private constant BOMB_SIZE = 100_000;

    int128 public answer;
    uint64 public updatedAt;
    uint8 public decimals;
    Mode public mode;

    constructor(uint8 decimals_, int128 answer_) {
        decimals = decimals_;
        set(answer_, uint64(block.timestamp));
    }

    function setDecimals(uint8 decimals_) external {
        decimals = decimals_;
    }

    function setMode(Mode mode_) external {
        mode = mode_;
    }

    function set(int128 answer_, uint64 updatedAt_) public {
        (answer, updatedAt) = (answer_, updatedAt_);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        if (mode != Mode.BEHAVE) _misbehave();
        return (1, answer, updatedAt, updatedAt, 1);
    }

    function _misbehave() private view {
        Mode chosen = mode;
        if (chosen == Mode.REVERT) revert Misbehaving();
        // Nothing is used after: each branch ends the call. Memory is zeros from 0x1000 on.
        assembly ("memory-safe") {
            switch chosen
            case 2 { invalid() }
            case 3 { return(0x1000, BOMB_SIZE) }
            case 4 { return(0x1000, 0x20) }
            default { revert(0x1000, BOMB_SIZE) }
        }
    }
}
