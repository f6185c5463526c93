// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FaucetToken} from "./FaucetToken.sol";
import {IFaucetStakedEther} from "../../interfaces/IFaucetStakedEther.sol";

/// @title A worthless token with the rate function of wstETH, for test networks
contract FaucetStakedEther is FaucetToken, IFaucetStakedEther {
    /// @inheritdoc IFaucetStakedEther
    uint256 public stEthPerToken;

    constructor(string memory name_, string memory symbol_, uint256 drip_, address owner_, uint256 rate)
        FaucetToken(name_, symbol_, 18, drip_, owner_)
    {
        stEthPerToken = rate;
    }

    /// @inheritdoc IFaucetStakedEther
    function setStEthPerToken(uint256 rate) external {
        if (msg.sender != OWNER) revert OnlyOwner(msg.sender);
        stEthPerToken = rate;
        emit RateSet(rate);
    }
}
