// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {EfficientHashLib} from "solady/src/utils/EfficientHashLib.sol";

import {Leg, Order} from "../../interfaces/ITradingModule.sol";
import {Instrument} from "../../interfaces/Types.sol";

/// @title The EIP-712 struct hash of an order
library OrderHash {
    using EfficientHashLib for bytes32[];

    bytes32 internal constant LEG_TYPEHASH = keccak256("Leg(uint48 instrument,int256 ratio)");
    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(bytes32 account,address signer,address taker,Leg[] legs,int256 quantity,int256 price,uint256 minimumFill,"
        "bool reduceOnly,uint256 expiry,uint256 epoch,uint256 salt)Leg(uint48 instrument,int256 ratio)"
    );

    function hash(Order calldata order) internal pure returns (bytes32) {
        return hash(order, hash(order.legs));
    }

    /// @dev For a caller who has hashed the legs.
    function hash(Order calldata order, bytes32 legsHash) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                ORDER_TYPEHASH,
                order.account,
                order.signer,
                order.taker,
                legsHash,
                order.quantity,
                order.price,
                order.minimumFill,
                order.reduceOnly,
                order.expiry,
                order.epoch,
                order.salt
            )
        );
    }

    function hash(Leg[] calldata legs) internal pure returns (bytes32) {
        bytes32[] memory hashes = EfficientHashLib.malloc(legs.length);
        for (uint256 i = 0; i < legs.length; ++i) {
            // A cast of a signed ratio keeps its bits, as EIP-712 encodes it.
            (uint256 instrument, uint256 ratio) = (Instrument.unwrap(legs[i].instrument), uint256(legs[i].ratio));
            hashes.set(i, EfficientHashLib.hash(uint256(LEG_TYPEHASH), instrument, ratio));
        }
        return hashes.hash();
    }
}
