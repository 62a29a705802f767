// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Outcome, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {TermsCheck} from "../../contracts/libraries/TermsCheck.sol";
import {TermsHash} from "../../contracts/libraries/TermsHash.sol";
import {TokenTransfers} from "../../contracts/libraries/TokenTransfers.sol";
import {Witness} from "../../contracts/libraries/Witness.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {ZooToken} from "./support/ZooToken.sol";

/// Both forms of the check, callable from outside.
contract TermsCheckTwins {
    function passes(Terms calldata terms, address payer) external view returns (bool) {
        return TermsCheck.passes(terms, payer);
    }

    function explain(Terms calldata terms, address payer) external view {
        TermsCheck.explain(terms, payer);
    }
}

/// The hashes in assembly, and as the compiler makes them.
contract HashTwins {
    function hash(Terms calldata terms) external view returns (DealId, DealId) {
        return (TermsHash.hash(terms), DealId.wrap(keccak256(abi.encode(terms, block.chainid, address(this)))));
    }

    function hashFor(Terms calldata terms, address payer) external view returns (DealId, DealId) {
        Terms memory named = terms;
        named.payer = payer;
        return (
            TermsHash.hashFor(terms, payer),
            DealId.wrap(keccak256(abi.encode(named, block.chainid, address(this))))
        );
    }

    function witness(Terms calldata terms) external pure returns (bytes32, bytes32) {
        return (Witness.ofTerms(terms), keccak256(abi.encode(Witness.TERMS_TYPE, terms)));
    }
}

/// The transfers in assembly, and in plain Solidity. Each acts, so each is called on its own token.
contract TransferTwins {
    function push(address token, address to, uint256 amount) external returns (bool) {
        return TokenTransfers.push(token, to, amount);
    }

    function pushPlainly(address token, address to, uint256 amount) external returns (bool) {
        (bool ok, bytes memory answer) = token.call{gas: TokenTransfers.PUSH_GAS}(
            abi.encodeWithSignature("transfer(address,uint256)", to, amount)
        );
        return accepted(token, ok, answer);
    }

    function take(address token, address from, uint256 amount) external {
        TokenTransfers.take(token, from, address(this), amount);
    }

    function takePlainly(address token, address from, uint256 amount) external {
        (bool ok, bytes memory answer) = token.call(
            abi.encodeWithSignature("transferFrom(address,address,uint256)", from, address(this), amount)
        );
        if (!accepted(token, ok, answer)) revert IEscrow.TransferFailed(token, from, address(this), amount);
    }

    function ownBalance(address token) external view returns (uint256) {
        return TokenTransfers.ownBalance(token);
    }

    function accepted(address token, bool ok, bytes memory answer) private view returns (bool) {
        if (!ok) return false;
        if (answer.length == 0) return token.code.length != 0;
        return answer.length >= 32 && abi.decode(answer, (uint256)) == 1;
    }
}

// assembly and its plain-Solidity twins
// ├── the branch-free check of terms and the one that explains agree on any words
// ├── ids and witnesses are what the compiler hashes, for any terms
// ├── pushes and pulls judge every kind of token as plain Solidity does
// └── the own balance is the token's word, zero when it does not answer
contract TwinsTest is EscrowTest {
    TermsCheckTwins private twins;
    HashTwins private hashes;
    TransferTwins private transfers;

    function setUp() public override {
        super.setUp();
        twins = new TermsCheckTwins();
        hashes = new HashTwins();
        transfers = new TransferTwins();
    }

    function testFuzz_IdsAreWhatTheCompilerHashes(
        uint256[6] calldata numbers,
        address[6] calldata roles,
        address other,
        uint64 chain
    ) public {
        Terms memory terms = Terms({
            ref: numbers[0],
            operator: roles[0],
            payee: roles[1],
            payer: roles[2],
            token: roles[3],
            amount: numbers[1],
            fee: numbers[2],
            feeRecipient: roles[4],
            arbiter: roles[5],
            depositDeadline: numbers[3],
            settlementDeadline: numbers[4],
            resolutionDeadline: numbers[5],
            defaultOutcome: Outcome(uint160(other) & 1)
        });
        vm.chainId(chain == 0 ? 1 : chain);
        (DealId fast, DealId plain) = hashes.hash(terms);
        vm.assertEq(DealId.unwrap(fast), DealId.unwrap(plain), "id");
        (fast, plain) = hashes.hashFor(terms, other);
        vm.assertEq(DealId.unwrap(fast), DealId.unwrap(plain), "id with another payer");
        (bytes32 quick, bytes32 slow) = hashes.witness(terms);
        vm.assertEq(quick, slow, "witness");
    }

    function testFuzz_TransfersJudgeTokensAlike(uint256 kind, uint256 amount, bytes32 word) public {
        ZooToken.Kind which = ZooToken.Kind(kind % 10);
        ZooToken one = new ZooToken();
        ZooToken other = new ZooToken();
        amount %= 1e30;
        for (uint256 i; i < 2; i++) {
            ZooToken token = i == 0 ? one : other;
            token.mint(address(transfers), amount);
            token.mint(payer, amount);
            vm.prank(payer);
            token.approve(address(transfers), amount);
            token.become(which, word);
        }
        vm.assertTrue(
            transfers.push(address(one), payee, amount) == transfers.pushPlainly(address(other), payee, amount),
            "pushes"
        );
        (bool ok, ) = address(transfers).call{gas: 3_000_000}(
            abi.encodeCall(TransferTwins.take, (address(one), payer, amount))
        );
        (bool plainOk, ) = address(transfers).call{gas: 3_000_000}(
            abi.encodeCall(TransferTwins.takePlainly, (address(other), payer, amount))
        );
        vm.assertTrue(ok == plainOk, "pulls");
        vm.assertEq(one.balanceOf(address(transfers)), other.balanceOf(address(transfers)), "balances");
        vm.assertEq(transfers.ownBalance(address(one)), one.balanceOf(address(transfers)), "own balance");
    }

    function test_AnAccountWithoutCodeIsNoToken() public {
        vm.assertTrue(!transfers.push(stranger, payee, 1), "push");
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.TransferFailed.selector, stranger, payer, address(transfers), 1)
        );
        transfers.take(stranger, payer, 1);
        vm.assertEq(transfers.ownBalance(stranger), 0, "own balance");
    }

    /// Any words at all, and words close to the borders, in each place.
    function testFuzz_BothChecksAgree(uint256 place, uint256 kind, uint256 word) public view {
        address[7] memory known = [payer, payee, operator, arbiter, diamond, address(usdc), address(twins)];
        kind %= 5;
        if (kind == 0) word = uint160(known[word % 7]);
        if (kind == 1) word = START + (word % (3700 days));
        if (kind == 2) word %= 3;
        if (kind == 3) word = type(uint256).max - (word % 4000);
        agree(place % 13, word);
    }

    function test_BothChecksAgreeAtEveryBorder() public view {
        uint256[12] memory words = [
            uint256(0),
            1,
            2,
            AMOUNT,
            AMOUNT + 1,
            type(uint120).max,
            1 << 120,
            1 << 160,
            START,
            START - 1,
            START + 3650 days,
            START + 3650 days + 1
        ];
        for (uint256 place; place < 13; place++) {
            for (uint256 i; i < words.length; i++) agree(place, words[i]);
            agree(place, uint160(payer));
            agree(place, uint160(payee));
            agree(place, uint160(operator));
            agree(place, uint160(address(usdc)));
            agree(place, uint160(address(twins)));
            agree(place, (1 << 160) | uint160(payee));
            agree(place, START + 1 days + 1 hours);
            agree(place, START + 1 days + 1 hours - 1);
            agree(place, START + 20 days - 1 hours);
            agree(place, START + 20 days - 1 hours + 1);
            agree(place, type(uint256).max);
            agree(place, type(uint256).max - 3599);
        }
    }

    function agree(uint256 place, uint256 word) private view {
        bytes memory passing = abi.encodeCall(TermsCheckTwins.passes, (usualTerms(), payer));
        bytes memory explaining = abi.encodeCall(TermsCheckTwins.explain, (usualTerms(), payer));
        uint256 at = 36 + 32 * place;
        assembly ("memory-safe") {
            mstore(add(passing, at), word)
            mstore(add(explaining, at), word)
        }
        (bool ok, bytes memory answer) = address(twins).staticcall(passing);
        (bool explained, ) = address(twins).staticcall(explaining);
        vm.assertTrue(ok, "the sum never reverts");
        vm.assertTrue(abi.decode(answer, (bool)) == explained, "both say the same");
    }
}
