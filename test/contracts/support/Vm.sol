// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// The cheatcodes that these tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 privateKey) external pure returns (address);

    function assertEq(uint256 left, uint256 right, string calldata why) external pure;

    function assertEq(address left, address right, string calldata why) external pure;

    function assertEq(bytes32 left, bytes32 right, string calldata why) external pure;

    function assertEq(bytes calldata left, bytes calldata right, string calldata why) external pure;

    function assertTrue(bool condition, string calldata why) external pure;

    function assume(bool condition) external pure;

    function chainId(uint256 newChainId) external;

    function etch(address target, bytes calldata newRuntimeBytecode) external;

    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;

    function expectRevert() external;

    function expectRevert(bytes4 revertData) external;

    function expectRevert(bytes calldata revertData) external;

    function getCode(string calldata artifactPath) external view returns (bytes memory creationBytecode);

    function getRecordedLogs() external returns (Log[] memory logs);

    function load(address target, bytes32 slot) external view returns (bytes32 data);

    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);

    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);

    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);

    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);

    function prank(address msgSender) external;

    function readFile(string calldata path) external view returns (string memory data);

    function recordLogs() external;

    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);

    function store(address target, bytes32 slot, bytes32 value) external;

    function warp(uint256 newTimestamp) external;
}
