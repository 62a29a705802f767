// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Outcome, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {TestUSDC} from "../../contracts/tokens/TestUSDC.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {HandlerSignatures} from "./support/HandlerSignatures.sol";

// the vectors that TypeScript computed (vectors.json)
// ├── ids of a deal and of its offer: the diamond should compute the same
// ├── a signature of each kind: the contracts should accept it, and no other kind's
// └── the same signatures written out in Solidity should be equal, byte for byte
contract VectorsTest is EscrowTest {
    string private json;
    Terms private terms;
    uint256 private deadline;

    /// Puts the compiled code at the very addresses, and on the very chain, that the vectors are of.
    function setUp() public override {
        super.setUp();
        json = vm.readFile("test/contracts/vectors.json");
        vm.chainId(number(".chainId"));
        vm.assertEq(number(".payerKey"), PAYER_KEY, "the payer's key");
        vm.assertEq(number(".payeeKey"), PAYEE_KEY, "the payee's key");
        deadline = number(".deadline");
        address vectorPermit2 = place(".permit2", permit2);
        address vectorToken = place(".token", address(usdc));
        diamond = place(
            ".diamond",
            make("Diamond.sol:Diamond", abi.encode(owner, guardian, vectorPermit2, facetCuts(), new address[](0)))
        );
        escrow = IEscrow(diamond);
        usdc = TestUSDC(vectorToken);
        // The token's policy word: mapping in slot 1 of the namespace dealkeep.escrow, bit 0 allows.
        bytes32 policies = bytes32(uint256(0x20b7167e6fb4344d9aadf1b7014ce808c5f7a0ef77eb29caffb0529d7d5bbc00) + 1);
        vm.store(diamond, keccak256(abi.encode(vectorToken, policies)), bytes32(uint256(1)));
        usdc.mint(payer, 10 * AMOUNT);
        vm.prank(payer);
        usdc.approve(vectorPermit2, type(uint256).max);
        terms = Terms({
            ref: number(".terms.ref"),
            operator: account(".terms.operator"),
            payee: account(".terms.payee"),
            payer: account(".terms.payer"),
            token: account(".terms.token"),
            amount: number(".terms.amount"),
            fee: number(".terms.fee"),
            feeRecipient: account(".terms.feeRecipient"),
            arbiter: account(".terms.arbiter"),
            depositDeadline: number(".terms.depositDeadline"),
            settlementDeadline: number(".terms.settlementDeadline"),
            resolutionDeadline: number(".terms.resolutionDeadline"),
            defaultOutcome: Outcome(number(".terms.defaultOutcome"))
        });
    }

    function test_Ids() public view {
        vm.assertEq(DealId.unwrap(escrow.dealId(terms)), word(".dealId"), "the deal's");
        Terms memory offer = terms;
        offer.payer = address(0);
        vm.assertEq(DealId.unwrap(escrow.dealId(offer)), word(".offerId"), "the offer's");
        vm.assertEq(cartHash(), word(".cartHash"), "a cart's");
    }

    function test_Permit() public {
        (uint8 v, bytes32 r, bytes32 s) = split(text(".permit.signature"));
        vm.prank(payer);
        escrow.depositWithPermit(terms, deadline, v, r, s);
        assertDeal(terms, 0, 0, Status.Funded);
    }

    function test_Authorization() public {
        bytes memory signature = text(".authorization.signature");
        vm.assertEq(signature, authorization(terms, word(".dealId")), "written out");
        escrow.depositWithAuthorization(terms, 0, deadline, signature);
        assertDeal(terms, 0, 0, Status.Funded);
    }

    function test_CartAuthorization() public {
        bytes memory signature = text(".cartAuthorization.signature");
        vm.assertEq(signature, authorization(whole(), word(".cartHash")), "written out");
        escrow.depositManyWithAuthorization(cart(), 0, deadline, signature);
        assertDeal(cart()[1], 0, 0, Status.Funded);
    }

    function test_Permit2Deal() public {
        bytes memory signature = text(".permit2Deal.signature");
        address at_ = account(".permit2");
        vm.assertEq(
            signature,
            HandlerSignatures.permit2Deal(PAYER_KEY, at_, diamond, terms, 0, deadline),
            "written out"
        );
        escrow.depositWithPermit2(terms, 0, deadline, signature);
        assertDeal(terms, 0, 0, Status.Funded);
    }

    function test_Permit2Cart() public {
        bytes memory signature = text(".permit2Cart.signature");
        bytes memory written = HandlerSignatures.permit2Cart(
            PAYER_KEY,
            account(".permit2"),
            diamond,
            whole(),
            word(".cartHash"),
            0,
            deadline
        );
        vm.assertEq(signature, written, "written out");
        escrow.depositManyWithPermit2(cart(), 0, deadline, signature);
        assertDeal(cart()[1], 0, 0, Status.Funded);
    }

    function test_Witness() public view {
        bytes32 termsType = keccak256(
            "Terms(uint256 ref,address operator,address payee,address payer,address token,uint256 amount,uint256 fee,address feeRecipient,address arbiter,uint256 depositDeadline,uint256 settlementDeadline,uint256 resolutionDeadline,uint8 defaultOutcome)"
        );
        vm.assertEq(keccak256(abi.encode(termsType, terms)), word(".witness"), "hashStruct(terms)");
    }

    function test_Settlement() public {
        vm.prank(payer);
        usdc.approve(diamond, AMOUNT);
        vm.prank(payer);
        escrow.deposit(terms);
        uint256 toPayee = number(".settlement.toPayee");
        bytes memory ofPayer = text(".settlement.signature");
        bytes memory ofPayee = text(".settlement.ofPayee");
        uint256[5] memory numbers = [uint256(0), 0, toPayee, terms.amount - toPayee, deadline];
        DealId id = DealId.wrap(word(".dealId"));
        vm.assertEq(ofPayer, HandlerSignatures.settlement(PAYER_KEY, diamond, id, numbers), "written out");
        escrow.settle(terms, toPayee, deadline, ofPayer, ofPayee);
        assertDeal(terms, toPayee, terms.amount - toPayee, Status.Settled);
    }

    function cart() private view returns (Terms[] memory list) {
        list = new Terms[](2);
        (list[0], list[1]) = (terms, terms);
        list[1].ref++;
    }

    function cartHash() private view returns (bytes32) {
        Terms[] memory list = cart();
        return keccak256(abi.encode(escrow.dealId(list[0]), escrow.dealId(list[1])));
    }

    /// Token and amount of the whole cart.
    function whole() private view returns (Terms memory sum) {
        sum = terms;
        sum.amount *= 2;
    }

    function authorization(Terms memory sum, bytes32 nonce) private view returns (bytes memory) {
        bytes32 domain = usdc.DOMAIN_SEPARATOR();
        return HandlerSignatures.authorization(PAYER_KEY, domain, diamond, sum, DealId.wrap(nonce), deadline);
    }

    function place(string memory key, address from) private returns (address to) {
        to = account(key);
        vm.etch(to, from.code);
    }

    function number(string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, key);
    }

    function account(string memory key) private view returns (address) {
        return vm.parseJsonAddress(json, key);
    }

    function word(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, key);
    }

    function text(string memory key) private view returns (bytes memory) {
        return vm.parseJsonBytes(json, key);
    }

    function split(bytes memory signature) private pure returns (uint8 v, bytes32 r, bytes32 s) {
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        v = uint8(signature[64]);
    }
}
