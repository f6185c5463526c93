// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {HaircutRegistry} from "./HaircutRegistry.sol";

/// @title What a margin is made of, for people to look at
/// @dev Runs on the MarginEngine's storage by delegatecall. Its own storage is never read.
contract RiskModule is HaircutRegistry {
    /// @dev Where the cubics of the normal distribution are.
    address internal immutable NORMAL_TABLE;

    constructor(address manager, address normalTable) HaircutRegistry(manager) {
        NORMAL_TABLE = normalTable;
    }
}
