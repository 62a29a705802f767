// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// An account with code (ERC-1271) that trusts one key, or misbehaves on request.
contract Wallet {
    enum Mood {
        Honest,
        Reverts,
        ReturnsNothing,
        ReturnsAnotherWord,
        BurnsGas,
        Floods
    }

    address private immutable KEY;
    Mood private mood;

    error Refused();

    constructor(address key) {
        KEY = key;
    }

    function become(Mood mood_) external {
        mood = mood_;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (mood == Mood.Reverts) revert Refused();
        if (mood == Mood.ReturnsAnotherWord) return 0xffffffff;
        if (mood == Mood.BurnsGas) while (true) {}
        uint256 size = mood == Mood.Floods ? 100_000 : 0;
        if (size != 0 || mood == Mood.ReturnsNothing) {
            assembly {
                return(0x80, size)
            }
        }
        return ECDSA.recover(hash, signature) == KEY ? this.isValidSignature.selector : bytes4(0);
    }
}
