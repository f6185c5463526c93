// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IBackstopVault, RedemptionEpoch} from "../../interfaces/IBackstopVault.sol";

/// @dev Requests of one epoch are settled together. Long enough that whoever asks to leave bears what is known to be
/// coming: an auction ends within 70 minutes of its flag, and a liquidation pause lasts at most six hours.
uint256 constant EPOCH_LENGTH = 7 days;

/// @title Requests to redeem, by epoch, and what was settled and not yet claimed
/// @dev A request joins the epoch that begins next, so that it waits for one whole epoch at least: in the running one,
/// its last second would be a way out at a second's notice.
library Redemptions {
    using Math for uint256;
    using Redemptions for State;

    /// @dev Epochs in ascending order; those before `first` are done.
    struct Queue {
        uint256[] epochs;
        uint256 first;
    }

    struct State {
        mapping(uint256 epoch => RedemptionEpoch) epochs;
        /// Shares requested and not yet claimed.
        mapping(uint256 epoch => mapping(address controller => uint256)) requested;
        mapping(address controller => Queue) requests;
        Queue unsettled;
    }

    function openEpoch() internal view returns (uint256 epoch, uint256 endsAt) {
        epoch = block.timestamp / EPOCH_LENGTH + 1;
        endsAt = endOf(epoch);
    }

    function endOf(uint256 epoch) internal pure returns (uint256) {
        return (epoch + 1) * EPOCH_LENGTH;
    }

    function request(State storage self, address controller, uint256 shares) internal returns (uint256 epoch) {
        (epoch,) = openEpoch();
        RedemptionEpoch storage batch = self.epochs[epoch];
        if (batch.shares == 0) self.unsettled.epochs.push(epoch);
        batch.shares += shares;
        mapping(address => uint256) storage requested = self.requested[epoch];
        if (requested[controller] == 0) self.requests[controller].epochs.push(epoch);
        requested[controller] += shares;
    }

    /// @notice The oldest epoch that waits to be settled, and when it ends; zero when none waits.
    function nextEpoch(State storage self) internal view returns (uint256 epoch, uint256 endsAt) {
        Queue storage waiting = self.unsettled;
        if (waiting.first == waiting.epochs.length) return (0, 0);
        epoch = waiting.epochs[waiting.first];
        endsAt = endOf(epoch);
    }

    /// @notice The same once it has ended.
    function nextToSettle(State storage self) internal view returns (uint256 epoch, uint256 shares) {
        uint256 endsAt;
        (epoch, endsAt) = self.nextEpoch();
        if (endsAt == 0) revert IBackstopVault.NothingToSettle();
        if (block.timestamp < endsAt) revert IBackstopVault.EpochRunning(epoch, endsAt);
        shares = self.epochs[epoch].shares;
    }

    /// @notice Settles the epoch that `nextToSettle` names.
    function settle(State storage self, uint256 epoch, uint256 assets) internal {
        ++self.unsettled.first;
        RedemptionEpoch storage batch = self.epochs[epoch];
        (batch.assets, batch.settled) = (assets, true);
    }

    /// @return shares Settled and not yet claimed.
    /// @return assets What they fetched; each epoch's part rounded down.
    function claimable(State storage self, address controller) internal view returns (uint256 shares, uint256 assets) {
        Queue storage queue = self.requests[controller];
        for (uint256 i = queue.first; i < queue.epochs.length; ++i) {
            RedemptionEpoch storage batch = self.epochs[queue.epochs[i]];
            if (!batch.settled) break;
            uint256 own = self.requested[queue.epochs[i]][controller];
            shares += own;
            assets += _worthDown(batch, own);
        }
    }

    /// @notice Takes `shares` of what is claimable, the oldest first; the caller has checked that they are there.
    function takeShares(State storage self, address controller, uint256 shares) internal returns (uint256 assets) {
        Queue storage queue = self.requests[controller];
        while (shares > 0) {
            uint256 epoch = queue.epochs[queue.first];
            uint256 own = self.requested[epoch][controller];
            uint256 taken = Math.min(own, shares);
            assets += _worthDown(self.epochs[epoch], taken);
            shares -= taken;
            self.requested[epoch][controller] = own - taken;
            if (taken == own) ++queue.first;
        }
    }

    /// @notice Takes `assets` of what is claimable, the oldest first; the caller has checked that they are there.
    /// @return shares Rounded up.
    function takeAssets(State storage self, address controller, uint256 assets) internal returns (uint256 shares) {
        Queue storage queue = self.requests[controller];
        while (assets > 0) {
            uint256 epoch = queue.epochs[queue.first];
            RedemptionEpoch storage batch = self.epochs[epoch];
            uint256 own = self.requested[epoch][controller];
            uint256 worth = _worthDown(batch, own);
            // Less than the whole is worth at least as many shares as are left, rounded up.
            uint256 taken = assets >= worth ? own : assets.mulDiv(batch.shares, batch.assets, Math.Rounding.Ceil);
            assets -= Math.min(assets, worth);
            shares += taken;
            self.requested[epoch][controller] = own - taken;
            if (taken == own) ++queue.first;
        }
    }

    function _worthDown(RedemptionEpoch storage batch, uint256 shares) private view returns (uint256) {
        return shares.mulDiv(batch.assets, batch.shares);
    }
}
