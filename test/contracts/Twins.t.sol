// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {DealId, DealState, IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {DealStates} from "../../contracts/libraries/DealStates.sol";
import {Guard} from "../../contracts/libraries/Guard.sol";
import {Signatures} from "../../contracts/libraries/Signatures.sol";
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

/// Answers every question with the same bytes, or reverts with them.
contract Oracle {
    bytes private said;
    bool private refuses;

    function say(bytes calldata said_, bool refuses_) external {
        (said, refuses) = (said_, refuses_);
    }

    fallback() external {
        bytes memory answer = said;
        bool refusing = refuses;
        assembly ("memory-safe") {
            if refusing {
                revert(add(answer, 32), mload(answer))
            }
            return(add(answer, 32), mload(answer))
        }
    }
}

/// Whose signature it is, by the library and in plain Solidity.
contract SignatureTwins {
    function requireSigned(address signer, bytes32 hash, bytes calldata signature) external view {
        Signatures.requireSigned(signer, hash, signature);
    }

    function requireSignedPlainly(address signer, bytes32 hash, bytes calldata signature) external view {
        (address key, ECDSA.RecoverError problem, ) = ECDSA.tryRecover(hash, signature);
        if (problem == ECDSA.RecoverError.NoError && key == signer) return;
        (bool ok, bytes memory answer) = signer.staticcall(
            abi.encodeWithSignature("isValidSignature(bytes32,bytes)", hash, signature)
        );
        bool agrees = ok && answer.length >= 32 && abi.decode(answer, (bytes32)) == bytes32(bytes4(0x1626ba7e));
        if (signer.code.length == 0 || !agrees) revert IEscrow.SignatureInvalid(signer, hash);
    }
}

/// The re-entrancy guard by its library, and as the compiler's own transient variable.
contract GuardTwins {
    bool private transient entered;

    function move(uint256 what) external {
        if (what == 0) Guard.enter();
        else if (what == 1) Guard.exit();
        else Guard.requireLeft();
    }

    function movePlainly(uint256 what) external {
        if (what != 1 && entered) revert IEscrow.Reentered();
        if (what != 2) entered = what == 0;
    }
}

// assembly and its plain-Solidity twins
// (the diamond's fallback and an initialisation's reason have theirs in Diamond.t.sol, the slots of storage in shape.ts)
// ├── the branch-free check of terms and the one that explains agree on any words
// ├── ids and witnesses are what the compiler hashes, for any terms
// ├── pushes and pulls judge every kind of token as plain Solidity does
// ├── the own balance is the token's word, zero when it does not answer
// ├── a deposit's event is what the compiler emits, for any terms
// ├── a status is what a cast makes of its byte
// ├── an account with code signs when it answers the whole magic word, whatever else it answers
// └── the guard is what a transient variable is
contract TwinsTest is EscrowTest {
    TermsCheckTwins private twins;
    HashTwins private hashes;
    TransferTwins private transfers;
    SignatureTwins private signatures;
    GuardTwins private guards;

    function setUp() public override {
        super.setUp();
        twins = new TermsCheckTwins();
        hashes = new HashTwins();
        transfers = new TransferTwins();
        signatures = new SignatureTwins();
        guards = new GuardTwins();
    }

    function testFuzz_ADepositsEventIsWhatTheCompilerEmits(
        uint256 ref,
        uint120 amount,
        uint256 fee,
        uint32[3] calldata gaps,
        uint8 kind
    ) public {
        Terms memory terms = usualTerms();
        terms.ref = ref;
        terms.amount = amount == 0 ? 1 : amount;
        terms.fee = fee % (terms.amount + 1);
        if (terms.fee == 0) terms.feeRecipient = address(0);
        terms.depositDeadline = START + (gaps[0] % 1000 days);
        terms.settlementDeadline = terms.depositDeadline + 1 hours + (gaps[1] % 1000 days);
        terms.resolutionDeadline = terms.settlementDeadline + 1 hours + (gaps[2] % 1000 days);
        terms.defaultOutcome = Outcome(kind & 1);
        if (kind & 2 == 0) terms.arbiter = address(0);
        usdc.mint(payer, terms.amount);
        expectEvent();
        emit IEscrow.Deposited(escrow.dealId(terms), payer, payee, terms);
        if (kind & 4 != 0) terms.payer = address(0); // by the offer
        vm.prank(payer);
        escrow.deposit(terms);
    }

    function testFuzz_AStatusIsWhatACastMakesOfIt(uint256 word, uint8 status) public pure {
        status %= 5;
        word = (word & ~(uint256(0xff) << 240)) | (uint256(status) << 240);
        vm.assertEq(uint256(DealStates.status(DealState.wrap(word))), uint256(Status(status)), "status");
    }

    function testFuzz_AnAccountSignsAlike(uint256 kind, bytes32 hash, bytes calldata said) public {
        Oracle oracle = new Oracle();
        bytes32 magic = bytes32(bytes4(0x1626ba7e));
        bytes memory answer = said;
        if (kind % 4 == 1) answer = abi.encode(magic);
        if (kind % 4 == 2) answer = bytes.concat(magic, said);
        if (kind % 4 == 3) answer = abi.encode(uint256(magic) | (1 << (kind % 224)));
        oracle.say(answer, kind & 16 != 0);
        alike(address(oracle), hash, said);
        alike(kind & 32 == 0 ? stranger : address(0), hash, said);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, hash);
        alike(payer, hash, join(v, r, s));
        alike(payee, hash, join(v, r, s));
        alike(payer, hash, bytes.concat(join(v, r, s), said));
        alike(payer, hash, join(uint8(kind), r, s));
        vm.etch(payer, address(oracle).code); // an account with delegated code (EIP-7702) that says nothing
        alike(payer, hash, join(v, r, s));
        signatures.requireSigned(payer, hash, join(v, r, s));
    }

    function testFuzz_TheGuardIsATransientVariable(uint256 moves) public {
        guards.move(1);
        guards.movePlainly(1);
        for (uint256 i; i < 40; i++) {
            uint256 what = (moves >> (4 * i)) % 3;
            (bool ok, bytes memory reason) = address(guards).call(abi.encodeCall(GuardTwins.move, (what)));
            (bool plainOk, bytes memory plain) = address(guards).call(abi.encodeCall(GuardTwins.movePlainly, (what)));
            vm.assertTrue(ok == plainOk, "open or closed");
            vm.assertEq(reason, plain, "for the same reason");
        }
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

    function alike(address signer, bytes32 hash, bytes memory signature) private view {
        (bool ok, bytes memory reason) = address(signatures).staticcall(
            abi.encodeCall(SignatureTwins.requireSigned, (signer, hash, signature))
        );
        (bool plainOk, bytes memory plain) = address(signatures).staticcall(
            abi.encodeCall(SignatureTwins.requireSignedPlainly, (signer, hash, signature))
        );
        vm.assertTrue(ok == plainOk, "signed or not");
        vm.assertEq(reason, plain, "for the same reason");
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
