// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title A redemption rate that is what it is told, read as that of an ERC-4626 vault or of wrapped staked ether
contract MockRate {
    error Misbehaving();

    uint256 public rate;
    bool public broken;

    constructor(uint256 rate_) {
        rate = rate_;
    }

    function setRate(uint256 rate_) external {
        rate = rate_;
    }

    function setBroken(bool broken_) external {
        broken = broken_;
    }

    function stEthPerToken() external view returns (uint256) {
        if (broken) revert Misbehaving();
        return rate;
    }

    function convertToAssets(uint256 shares) external view returns (uint256) {
        if (broken) revert Misbehaving();
        return shares * rate / 1e18;
    }
}
