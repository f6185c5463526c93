// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Kind} from "../../interfaces/IHaircutRegistry.sol";
import {ParameterRules} from "../libraries/ParameterRules.sol";

/// @title The rules of parameter words, one call each
contract Rules {
    function requireValid(Kind kind, uint16 id, uint256 word) external pure {
        ParameterRules.requireValid(kind, id, word);
    }

    function requireScanBound(uint16 id, uint256 from, uint256 to) external pure {
        ParameterRules.requireScanBound(id, from, to);
    }

    function isTightening(Kind kind, uint256 old, uint256 word) external pure returns (bool) {
        return ParameterRules.isTightening(kind, old, word);
    }

    function requireSteps(Kind kind, uint16 id, uint256 old, uint256 word) external pure {
        ParameterRules.requireSteps(kind, id, old, word);
    }
}
