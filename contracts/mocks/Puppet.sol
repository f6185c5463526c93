// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IClearingHouse, IUnlockCallback} from "../../interfaces/IClearingHouse.sol";

/// @title A contract that makes the calls it is told to, inside and outside of `unlock`
contract Puppet is IUnlockCallback {
    struct Call {
        address target;
        bytes data;
        /// Whether a failure of it is swallowed.
        bool mayFail;
    }

    /// Whether each call of the last run passed, and what it answered.
    bool[] public passed;
    bytes[] public answers;

    receive() external payable {}

    /// @notice Makes the calls within one `unlock` of the ClearingHouse.
    function unlock(IClearingHouse house, Call[] calldata calls) external payable {
        house.unlock(abi.encode(calls));
    }

    /// @inheritdoc IUnlockCallback
    function unlockCallback(bytes calldata data) external returns (bytes memory) {
        run(abi.decode(data, (Call[])));
        return data;
    }

    function run(Call[] memory calls) public payable {
        (passed, answers) = (new bool[](0), new bytes[](0));
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool ok, bytes memory answer) = calls[i].target.call(calls[i].data);
            if (!ok && !calls[i].mayFail) _bubble(answer);
            passed.push(ok);
            answers.push(answer);
        }
    }

    function _bubble(bytes memory answer) private pure {
        // The bytes of `answer` begin after its length.
        assembly ("memory-safe") {
            revert(add(answer, 0x20), mload(answer))
        }
    }
}
