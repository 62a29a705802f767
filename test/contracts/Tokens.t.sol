// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {ITokenPolicy, TokenPolicy} from "../../contracts/interfaces/ITokenPolicy.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {ZooToken} from "./support/ZooToken.sol";

// tokens that misbehave
// ├── takes a fee on deposit: it should revert with both amounts
// ├── refuses the payee, the payer or the arbiter's split: it should become a credit, withdrawable later
// ├── refuses at withdraw: it should revert and keep the credit
// ├── returns false, nothing, another word, too little, or a flood: as a refusal or as what it is
// ├── a push with too little gas: it should revert, never become a credit
// ├── a token that burns all gas: it should become a credit once it had the whole cap
// └── shrinks balances: it should harm its own deals only
// token policy
// ├── allow and disallow: owner only, a token with code only
// └── pause and resume: guardian or owner; the guardian is named by the owner
contract TokensTest is EscrowTest {
    ZooToken private zoo;

    function setUp() public override {
        super.setUp();
        zoo = new ZooToken();
        vm.prank(owner);
        ITokenPolicy(diamond).allowTokens(only(address(zoo)));
        zoo.mint(payer, 1000 * AMOUNT);
        vm.prank(payer);
        zoo.approve(diamond, type(uint256).max);
    }

    function test_RevertWhen_TheTokenTakesAFee() public {
        zoo.become(ZooToken.Kind.TakesFee, 0);
        Terms memory terms = zooTerms();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongDelta.selector, AMOUNT - 1, AMOUNT));
        vm.prank(payer);
        escrow.deposit(terms);
    }

    function test_RevertWhen_TheTokenOnlyPretendsToMove() public {
        ZooToken.Kind[3] memory kinds = [ZooToken.Kind.ReturnsFalse, ZooToken.Kind.Reverts, ZooToken.Kind.ReturnsShort];
        Terms memory terms = zooTerms();
        for (uint256 i; i < kinds.length; i++) {
            zoo.become(kinds[i], 0);
            vm.expectRevert(
                abi.encodeWithSelector(IEscrow.TransferFailed.selector, address(zoo), payer, diamond, AMOUNT)
            );
            vm.prank(payer);
            escrow.deposit(terms);
        }
    }

    function test_ARefusedPayee_IsCreditedAndCanWithdrawLater() public {
        Terms memory terms = fundedAs(zooTerms());
        zoo.block_(payee);
        expectEvent();
        emit IEscrow.Credited(address(zoo), payee, AMOUNT - FEE);
        vm.prank(operator);
        escrow.release(terms);
        assertDeal(terms, AMOUNT, 0, Status.Settled);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.TransferFailed.selector, address(zoo), diamond, payee, AMOUNT - FEE)
        );
        escrow.withdraw(address(zoo), payee);
        vm.assertEq(escrow.creditOf(address(zoo), payee), AMOUNT - FEE, "kept");
        zoo.become(ZooToken.Kind.Honest, 0);
        expectEvent();
        emit IEscrow.Withdrawn(address(zoo), payee, AMOUNT - FEE);
        vm.prank(stranger);
        escrow.withdraw(address(zoo), payee);
        vm.assertEq(zoo.balanceOf(payee), AMOUNT - FEE, "paid");
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NothingToWithdraw.selector, address(zoo), payee));
        escrow.withdraw(address(zoo), payee);
    }

    function test_ARefusedPayer_IsCreditedByEveryRefund() public {
        Terms memory terms = fundedAs(zooTerms());
        zoo.block_(payer);
        vm.prank(payee);
        escrow.refundPart(terms, 1);
        vm.prank(payer);
        escrow.openDispute(terms, 0);
        vm.prank(arbiter);
        escrow.resolve(terms, 10);
        vm.assertEq(escrow.creditOf(address(zoo), payer), AMOUNT - 10, "credit");
        vm.assertEq(zoo.balanceOf(payee), 10, "the payee is paid all the same");
    }

    function test_AFee_IsWithdrawnByItsOwner() public {
        Terms memory terms = fundedAs(zooTerms());
        vm.prank(payer);
        escrow.release(terms);
        escrow.withdraw(address(zoo), feeRecipient);
        vm.assertEq(zoo.balanceOf(feeRecipient), FEE, "fee");
        vm.assertEq(zoo.balanceOf(diamond), 0, "nothing left");
    }

    function test_AFloodOfReturnData_CostsNoMoreThanAWord() public {
        Terms memory terms = fundedAs(zooTerms());
        zoo.become(ZooToken.Kind.FloodsReturnData, 0);
        uint256 before = gasleft();
        vm.prank(payer);
        escrow.release(terms);
        vm.assertTrue(before - gasleft() < 300_000, "gas");
        vm.assertEq(zoo.balanceOf(payee), AMOUNT - FEE, "paid");
    }

    /// The token gives up early and leaves the gas that a credit would take, so only the check of the cap helps.
    function test_TooLittleGas_NeverMakesACredit() public {
        Terms memory terms = fundedAs(zooTerms());
        zoo.become(ZooToken.Kind.NeedsGas, bytes32(uint256(100_000)));
        uint256 credited;
        uint256 paid;
        for (uint256 limit = 40_000; limit < 400_000; limit += 3_000) {
            terms.ref++;
            fundedAs(terms);
            vm.prank(payer);
            (bool ok, ) = diamond.call{gas: limit}(abi.encodeCall(IEscrow.release, (terms)));
            if (ok) paid++;
            credited += escrow.creditOf(address(zoo), payee);
        }
        vm.assertEq(credited, 0, "credit by starvation");
        vm.assertTrue(paid > 50, "enough gas pays");
    }

    function test_ATokenThatBurnsGas_MakesACreditOnlyWithTheWholeCap() public {
        Terms memory terms = fundedAs(zooTerms());
        zoo.become(ZooToken.Kind.BurnsGas, 0);
        bytes memory call_ = abi.encodeCall(IEscrow.release, (terms));
        vm.prank(payer);
        (bool ok, bytes memory reason) = diamond.call{gas: 250_000}(call_);
        vm.assertTrue(!ok && (reason.length == 0 || bytes4(reason) == IEscrow.PushOutOfGas.selector), "too little");
        vm.prank(payer);
        (ok, ) = diamond.call{gas: 1_000_000}(call_);
        vm.assertTrue(ok, "released");
        vm.assertEq(escrow.creditOf(address(zoo), payee), AMOUNT - FEE, "credit");
    }

    function test_AShrinkingToken_HarmsOnlyItsOwnDeals() public {
        Terms memory good = funded();
        Terms memory bad = fundedAs(zooTerms());
        zoo.shrink(diamond, AMOUNT / 2);
        vm.prank(payer);
        escrow.release(bad);
        vm.assertEq(escrow.creditOf(address(zoo), payee), AMOUNT - FEE, "waits for a balance");
        vm.prank(payer);
        escrow.release(good);
        vm.assertEq(usdc.balanceOf(payee), AMOUNT - FEE, "the good deal is whole");
    }

    function test_Policy_IsTheOwners() public {
        vm.expectRevert();
        ITokenPolicy(diamond).allowTokens(only(address(usdc)));
        vm.expectRevert();
        ITokenPolicy(diamond).disallowTokens(only(address(usdc)));
        vm.expectRevert();
        ITokenPolicy(diamond).setGuardian(stranger);
        vm.expectRevert(abi.encodeWithSelector(ITokenPolicy.TokenWithoutCode.selector, stranger));
        vm.prank(owner);
        ITokenPolicy(diamond).allowTokens(only(stranger));
        vm.expectRevert(ITokenPolicy.NoTokens.selector);
        vm.prank(owner);
        ITokenPolicy(diamond).allowTokens(new address[](0));
        vm.expectRevert(ITokenPolicy.NoTokens.selector);
        vm.prank(guardian);
        ITokenPolicy(diamond).pauseDeposits(new address[](0));
    }

    function test_Pause_IsTheGuardiansAndTheOwners() public {
        vm.expectRevert(abi.encodeWithSelector(ITokenPolicy.NotGuardian.selector, stranger, guardian));
        vm.prank(stranger);
        ITokenPolicy(diamond).pauseDeposits(only(address(usdc)));
        expectEvent();
        emit ITokenPolicy.TokenPolicyChanged(address(usdc), true, true);
        vm.prank(guardian);
        ITokenPolicy(diamond).pauseDeposits(only(address(usdc)));
        TokenPolicy memory policy = ITokenPolicy(diamond).tokenPolicy(address(usdc));
        vm.assertTrue(policy.allowed && policy.paused, "allowed but paused");
        vm.prank(owner);
        ITokenPolicy(diamond).resumeDeposits(only(address(usdc)));
        funded();
        vm.prank(owner);
        ITokenPolicy(diamond).setGuardian(stranger);
        vm.assertEq(ITokenPolicy(diamond).guardian(), stranger, "guardian");
        vm.expectRevert(abi.encodeWithSelector(ITokenPolicy.NotGuardian.selector, guardian, stranger));
        vm.prank(guardian);
        ITokenPolicy(diamond).pauseDeposits(only(address(usdc)));
    }

    function zooTerms() private view returns (Terms memory terms) {
        terms = usualTerms();
        terms.token = address(zoo);
    }

    function only(address token) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = token;
    }
}
