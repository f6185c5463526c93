// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Where the cubics of the normal distribution will be: code that is read, never run
contract NormalTable {}
