// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Code that runs on the storage of the contract that it belongs to
library Modules {
    /// @notice Runs the call at hand on `module`, and ends with its answer.
    function run(address module) internal {
        // Memory-safe: it uses free memory only, and nothing runs after it.
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, 0, calldatasize())
            let done := delegatecall(gas(), module, free, calldatasize(), 0, 0)
            returndatacopy(free, 0, returndatasize())
            switch done
            case 0 { revert(free, returndatasize()) }
            default { return(free, returndatasize()) }
        }
    }

    /// @notice The same in a view, whose code on the module is a view too.
    function answer(address module) internal view {
        _asView(run)(module);
    }

    /// @dev The compiler takes a delegatecall for a change of state. Only views of the module's interface come here,
    /// and the compiler has held their code there to changing nothing; a caller's staticcall holds whatever it does.
    function _asView(function(address) internal code) private pure returns (function(address) internal view sameCode) {
        // Both are the place of the same code.
        assembly ("memory-safe") {
            sameCode := code
        }
    }
}
