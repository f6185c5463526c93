// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

import {IFaucetToken} from "../../interfaces/IFaucetToken.sol";

/// @title A worthless token for test networks that lack the real one
contract FaucetToken is ERC20Permit, IFaucetToken {
    uint256 private constant PERIOD = 1 days;

    /// @inheritdoc IFaucetToken
    address public immutable OWNER;
    /// @inheritdoc IFaucetToken
    uint256 public immutable DRIP;
    uint8 private immutable DECIMALS;

    mapping(address caller => mapping(uint256 day => uint256)) private _dripped;

    /// @param drip_ Most units for one caller a day.
    constructor(string memory name_, string memory symbol_, uint8 decimals_, uint256 drip_, address owner_)
        ERC20(name_, symbol_)
        ERC20Permit(name_)
    {
        DECIMALS = decimals_;
        DRIP = drip_;
        OWNER = owner_;
    }

    /// @inheritdoc IFaucetToken
    function mint(address to, uint256 amount) external {
        if (msg.sender != OWNER) _spendDrip(amount);
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public view override returns (uint8) {
        return DECIMALS;
    }

    function _spendDrip(uint256 amount) private {
        uint256 day = block.timestamp / PERIOD;
        uint256 left = DRIP - _dripped[msg.sender][day];
        if (amount > left) revert DripExhausted(msg.sender, amount, left);
        _dripped[msg.sender][day] += amount;
    }
}
