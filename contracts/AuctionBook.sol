// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Auction, AuctionState, ILiquidationModule} from "../interfaces/ILiquidationModule.sol";
import {IMarginEngine} from "../interfaces/IMarginEngine.sol";
import {Account, Margin} from "../interfaces/Types.sol";
import {Auctions} from "./libraries/Auctions.sol";
import {MICRO} from "./libraries/CashLimits.sol";
import {Moment} from "./libraries/Journal.sol";
import {Exits} from "./Exits.sol";
import {HALTED} from "./Gate.sol";

/// @title What is known of auctions: their clock, their depth and what a bid would get
abstract contract AuctionBook is Exits, ILiquidationModule {
    using Auctions for Auctions.Record;

    /// @inheritdoc ILiquidationModule
    function auction(Account account) external view returns (Auction memory, uint256 depth) {
        Auctions.Record memory record = _auctions[account];
        return (record.toView(), record.isFlagged() ? _depthOf(record) : 0);
    }

    /// @inheritdoc ILiquidationModule
    function provisionOf(Account account) external view returns (uint256) {
        return _auctions[account].provision * MICRO;
    }

    /// @inheritdoc ILiquidationModule
    function windDown()
        external
        view
        returns (bool halted, uint256 resumeReadyAt, uint256 shutReadyAt, uint256 shutAt)
    {
        WindDown memory state = _windDown;
        return (_isPaused(HALTED), state.resumeReadyAt, state.shutReadyAt, state.shutAt);
    }

    /// @inheritdoc ILiquidationModule
    function quoteBid(Account account, uint256 fraction)
        external
        view
        returns (uint256 taken, int256 price, uint256 depth)
    {
        IMarginEngine engine_ = engine();
        depth = _requireBiddable(account);
        Margin memory margin_ = engine_.margin(_portfolio(account, Moment.NOW));
        _requireUnhealthy(account, margin_);
        (taken, price) = Auctions.calculate(margin_, engine_.factors(), depth, fraction);
    }

    /// @return depth How deep the auction is, bps.
    function _requireBiddable(Account account) internal view returns (uint256 depth) {
        Auctions.Record memory record = _auctions[account];
        bool biddable = record.state == AuctionState.RUNNING || record.state == AuctionState.HALTED;
        if (!biddable) revert NotInAuction(account, record.state);
        if (record.tickedAt == block.timestamp) revert SameBlock(account);
        _requireJudgeable(account, _wordOf(account));
        return _depthOf(record);
    }

    function _requireUnhealthy(Account account, Margin memory margin_) internal pure {
        if (Auctions.isHealthy(margin_)) {
            revert AccountHealthy(account, margin_.maintenanceEquity, margin_.maintenanceMargin);
        }
    }

    function _depthOf(Auctions.Record memory record) private view returns (uint256) {
        return Auctions.depthAt(record.elapsedNow(_liveSince()));
    }

    /// @dev Since when auctions could run without a break: no outage of the sequencer, no pause.
    function _liveSince() internal view returns (uint256) {
        return Math.max(engine().liveSince(), _control.liquidationResumesAt);
    }
}
