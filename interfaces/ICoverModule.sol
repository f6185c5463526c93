// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Portfolio} from "./Types.sol";

/// @title Whether a book is so rich that nobody needs to know its margin
interface ICoverModule {
    /// @notice True only if `IMarginEngine.assess` would find initial equity at or above initial margin and nothing
    /// doubtful, as a bound proves that costs a fraction of it. False says nothing. docs/options.md, section 9.
    /// @dev When it answers true, every price that a margin reads is fixed for the rest of the transaction.
    /// @param portfolio Each instrument once, as accounts hold them.
    function isCovered(Portfolio calldata portfolio) external returns (bool);
}
