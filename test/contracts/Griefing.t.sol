// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy} from "../../contracts/interfaces/ITokenPolicy.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {HandlerSignatures} from "./support/HandlerSignatures.sol";
import {ZooToken} from "./support/ZooToken.sol";

// somebody is in the way
// ├── our number in a stranger's terms: it should be another deal
// ├── two buyers of one offer: two deals, each refunded to its own payer
// ├── somebody pays for the payer first: the payer's deposit fails and costs nothing, refunds go to the payer
// ├── somebody uses a permit in his own deposit: it should not become the payer's allowance
// ├── somebody takes a 3009 signature to the token: the token should refuse him, the deposit still works
// ├── a signed deposit sent twice, late, or with another token in the cart: it should revert
// ├── a settlement signed before a refund: it should be void
// ├── a blocked payee in a batch: the others are paid
// ├── somebody withdraws for another: the money is the owner's
// └── somebody resumes what the guardian paused: it should revert
contract GriefingTest is EscrowTest {
    bytes4 private constant BY_AUTHORIZATION = 0xbe5a7a50;

    function setUp() public override {
        super.setUp();
        fund(stranger);
        vm.prank(payer);
        usdc.approve(permit2, type(uint256).max);
    }

    function test_OurNumberInOtherTerms_IsAnotherDeal() public {
        Terms memory ours = usualTerms();
        Terms memory theirs = usualTerms();
        (theirs.payer, theirs.operator, theirs.amount, theirs.fee) = (stranger, stranger, 1, 0);
        fundedAs(theirs);
        vm.prank(stranger);
        escrow.release(theirs);
        assertDeal(ours, 0, 0, Status.None);
        fundedAs(ours);
        assertDeal(ours, 0, 0, Status.Funded);
    }

    function test_TwoBuyersOfOneOffer_AreRefundedEach() public {
        Terms memory offer = usualTerms();
        offer.payer = address(0);
        address[2] memory buyers = [payer, stranger];
        uint256[2] memory before = [usdc.balanceOf(payer), usdc.balanceOf(stranger)];
        for (uint256 i; i < 2; i++) {
            vm.prank(buyers[i]);
            escrow.deposit(offer);
        }
        vm.assertEq(usdc.balanceOf(diamond), 2 * AMOUNT, "two deals");
        for (uint256 i; i < 2; i++) {
            offer.payer = buyers[i];
            vm.prank(operator);
            escrow.cancelDeal(offer);
            vm.assertEq(usdc.balanceOf(buyers[i]), before[i], "each its own");
        }
    }

    function test_WhenSomebodyPaidFirst_ThePayerLosesNothing() public {
        Terms memory terms = usualTerms();
        uint256 before = usdc.balanceOf(payer);
        vm.prank(stranger);
        escrow.deposit(terms);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Funded, Status.None));
        vm.prank(payer);
        escrow.deposit(terms);
        vm.assertEq(usdc.balanceOf(payer), before, "nothing was taken");
    }

    function test_APermitInSomebodysDeposit_IsNotUsed() public {
        bytes32 content = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                payer,
                diamond,
                AMOUNT,
                usdc.nonces(payer),
                START + 1
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(
            PAYER_KEY,
            keccak256(abi.encodePacked(hex"1901", usdc.DOMAIN_SEPARATOR(), content))
        );
        vm.prank(payer);
        usdc.approve(diamond, 0);
        vm.prank(stranger);
        escrow.depositWithPermit(usualTerms(), START + 1, v, r, s);
        vm.assertEq(usdc.allowance(payer, diamond), 0, "the payer's allowance");
        vm.assertEq(usdc.nonces(payer), 0, "the payer's permit is still good");
    }

    function test_ASignatureTakenToTheToken_IsRefusedThere() public {
        Terms memory terms = usualTerms();
        bytes memory signature = authorization(terms, START + 1);
        bytes32 id = DealId.unwrap(escrow.dealId(terms));
        vm.expectRevert();
        vm.prank(stranger);
        usdc.receiveWithAuthorization(payer, diamond, AMOUNT, 0, START + 1, id, signature);
        vm.expectRevert();
        vm.prank(stranger);
        usdc.receiveWithAuthorization(payer, stranger, AMOUNT, 0, START + 1, id, signature);
        assertCall(abi.encodeWithSelector(BY_AUTHORIZATION, terms, 0, START + 1, signature), true);
        assertDeal(terms, 0, 0, Status.Funded);
    }

    function test_RevertWhen_ASignedDepositIsSentTwiceOrLate() public {
        Terms memory terms = usualTerms();
        bytes memory late = abi.encodeWithSelector(BY_AUTHORIZATION, terms, 0, START, authorization(terms, START));
        assertCall(late, false); // valid before START, exclusive
        bytes memory byPermit2 = HandlerSignatures.permit2Deal(PAYER_KEY, permit2, diamond, terms, 1, START - 1);
        assertCall(abi.encodeCall(IEscrow.depositWithPermit2, (terms, 1, START - 1, byPermit2)), false);
        byPermit2 = HandlerSignatures.permit2Deal(PAYER_KEY, permit2, diamond, terms, 1, START);
        bytes memory call_ = abi.encodeCall(IEscrow.depositWithPermit2, (terms, 1, START, byPermit2));
        assertCall(call_, true);
        assertCall(call_, false);
        vm.prank(payee);
        escrow.cancelDeal(terms);
        assertCall(call_, false); // nor after everything went back
    }

    function test_RevertWhen_ASignedCartMixesTokens() public {
        Terms[] memory list = new Terms[](2);
        (list[0], list[1]) = (usualTerms(), usualTerms());
        list[1].token = address(usdt);
        bytes memory reason = abi.encodeWithSelector(IEscrow.CartMixed.selector, address(usdt), address(usdc));
        vm.expectRevert(reason);
        escrow.depositManyWithAuthorization(list, 0, START + 1, "");
        vm.expectRevert(reason);
        escrow.depositManyWithPermit2(list, 0, START + 1, "");
    }

    function test_RevertWhen_ARefundCameBeforeTheSettlement() public {
        Terms memory terms = funded();
        DealId id = escrow.dealId(terms);
        // Everything is right for the deal after the refund, but for the refund itself.
        uint256[5] memory numbers = [uint256(0), 0, 7, AMOUNT - 8, START];
        bytes memory ofPayer = HandlerSignatures.settlement(PAYER_KEY, diamond, id, numbers);
        bytes memory ofPayee = HandlerSignatures.settlement(PAYEE_KEY, diamond, id, numbers);
        vm.prank(payee);
        escrow.refundPart(terms, 1);
        assertCall(abi.encodeCall(IEscrow.settle, (terms, 7, START, ofPayer, ofPayee)), false);
        numbers[1] = 1;
        ofPayer = HandlerSignatures.settlement(PAYER_KEY, diamond, id, numbers);
        ofPayee = HandlerSignatures.settlement(PAYEE_KEY, diamond, id, numbers);
        assertCall(abi.encodeCall(IEscrow.settle, (terms, 7, START, ofPayer, ofPayee)), true);
    }

    function test_ABlockedPayeeInABatch_HoldsUpNobody() public {
        ZooToken zoo = new ZooToken();
        address[] memory tokens = new address[](1);
        tokens[0] = address(zoo);
        vm.prank(owner);
        ITokenPolicy(diamond).allowTokens(tokens);
        zoo.mint(payer, 10 * AMOUNT);
        vm.prank(payer);
        zoo.approve(diamond, type(uint256).max);
        Terms[] memory list = new Terms[](3);
        for (uint256 i; i < 3; i++) {
            list[i] = usualTerms();
            (list[i].ref, list[i].token) = (list[i].ref + i, address(zoo));
            if (i == 1) list[i].payee = stranger;
            fundedAs(list[i]);
        }
        zoo.block_(stranger);
        vm.prank(operator);
        escrow.releaseMany(list);
        vm.assertEq(zoo.balanceOf(payee), 2 * (AMOUNT - FEE), "the others");
        vm.assertEq(escrow.creditOf(address(zoo), stranger), AMOUNT - FEE, "its own waits");
    }

    function test_SomebodyWithdraws_ForTheOwner() public {
        Terms memory terms = funded();
        vm.prank(payer);
        escrow.release(terms);
        uint256 before = usdc.balanceOf(stranger);
        vm.prank(stranger);
        escrow.withdraw(address(usdc), feeRecipient);
        vm.assertEq(usdc.balanceOf(feeRecipient), FEE, "owner");
        vm.assertEq(usdc.balanceOf(stranger), before, "caller");
    }

    function test_RevertWhen_SomebodyResumes() public {
        address[] memory tokens = new address[](1);
        tokens[0] = address(usdc);
        vm.prank(guardian);
        ITokenPolicy(diamond).pauseDeposits(tokens);
        vm.expectRevert(abi.encodeWithSelector(ITokenPolicy.NotGuardian.selector, stranger, guardian));
        vm.prank(stranger);
        ITokenPolicy(diamond).resumeDeposits(tokens);
    }

    function authorization(Terms memory terms, uint256 validBefore) private view returns (bytes memory) {
        return
            HandlerSignatures.authorization(
                PAYER_KEY,
                usdc.DOMAIN_SEPARATOR(),
                diamond,
                terms,
                escrow.dealId(terms),
                validBefore
            );
    }

    function assertCall(bytes memory data, bool accepted) private {
        vm.prank(stranger);
        (bool ok, ) = diamond.call(data);
        vm.assertTrue(ok == accepted, accepted ? "accepted" : "refused");
    }
}
