// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// Called by a token of kind `Calling` in the middle of every movement.
interface ICallback {
    function onTokensMoved() external;
}

/// One token of every sort that an escrow may meet. It starts honest, so that a test can set the scene.
contract ZooToken is ERC20 {
    enum Kind {
        Honest,
        TakesFee,
        ReturnsFalse,
        ReturnsNothing,
        Reverts,
        Blocklists,
        ReturnsWord,
        ReturnsShort,
        FloodsReturnData,
        BurnsGas,
        Calling,
        NeedsGas
    }

    Kind public kind;
    bytes32 public word;
    address public blocked;
    address public called;

    error Blocked(address account);

    constructor() ERC20("Zoo", "ZOO") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @param word_ What kind `ReturnsWord` returns, or the gas that kind `NeedsGas` wants to have left.
    function become(Kind kind_, bytes32 word_) external {
        kind = kind_;
        word = word_;
    }

    function block_(address account) external {
        kind = Kind.Blocklists;
        blocked = account;
    }

    function callOn(address target) external {
        kind = Kind.Calling;
        called = target;
    }

    /// A rebase: an account's balance shrinks by itself.
    function shrink(address account, uint256 amount) external {
        _burn(account, amount);
    }

    /// ERC-2612 and ERC-3009 that look at no signature: what counts here is what happens around them.
    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external {
        if (kind == Kind.Calling) ICallback(called).onTokensMoved();
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 amount,
        uint256,
        uint256,
        bytes32,
        uint8,
        bytes32,
        bytes32
    ) external {
        _transfer(from, to, amount);
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 amount,
        uint256,
        uint256,
        bytes32,
        bytes calldata
    ) external {
        _transfer(from, to, amount);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        _transfer(msg.sender, to, amount);
        return answer();
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        _spendAllowance(from, msg.sender, amount);
        _transfer(from, to, amount);
        return answer();
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (kind == Kind.Blocklists && (from == blocked || to == blocked)) revert Blocked(blocked);
        super._update(from, to, amount);
        if (kind == Kind.TakesFee && from != address(0) && to != address(0) && amount > 0)
            super._update(to, address(0), 1);
        if (kind == Kind.Calling && from != address(0)) ICallback(called).onTokensMoved();
    }

    function answer() private view returns (bool) {
        bytes32 w = word;
        if (kind == Kind.Reverts) revert Blocked(msg.sender);
        if (kind == Kind.ReturnsFalse) return false;
        if (kind == Kind.NeedsGas && gasleft() < uint256(w)) revert Blocked(msg.sender);
        if (kind == Kind.BurnsGas) while (true) {}
        uint256 size = type(uint256).max;
        if (kind == Kind.ReturnsNothing) size = 0;
        if (kind == Kind.ReturnsWord) size = 32;
        if (kind == Kind.ReturnsShort) size = 31;
        if (kind == Kind.FloodsReturnData) {
            w = bytes32(uint256(1));
            size = 100_000;
        }
        if (size == type(uint256).max) return true;
        assembly {
            mstore(0, w)
            return(0, size)
        }
    }
}
