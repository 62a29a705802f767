// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, DealState, IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {Wallet} from "./support/Wallet.sol";

// openDispute
// ├── by payer or payee, up to the settlement deadline: it should freeze the deal and tell who
// └── when not funded, without an arbiter, late, or by anybody else: it should revert
// withdrawDispute
// ├── by whoever opened it: it should be funded again, and the operator may act
// └── by the other party or when not disputed: it should revert
// resolve
// ├── by the arbiter, up to its deadline: any split
// └── when not disputed, late, above what is held, or by anybody else: it should revert
// settle
// ├── with both signatures, relayed by anyone, in a dispute or not: any split
// ├── when a party calls: its own signature is not needed
// ├── when a signature is of another split, state, deadline, chain, diamond or key, or malleable: it should revert
// ├── when a party is a wallet: as the wallet says
// └── after its deadline, above what is held, or with nothing held: it should revert
contract DisputeTest is EscrowTest {
    bytes32 private constant SETTLEMENT = keccak256(
        "Settlement(bytes32 deal,uint256 released,uint256 refunded,uint256 toPayee,uint256 toPayer,uint256 deadline)"
    );

    function test_Open_ByEitherPartyInTheLastSecond() public {
        Terms memory terms = funded();
        vm.warp(terms.settlementDeadline);
        expectEvent();
        emit IEscrow.DisputeOpened(escrow.dealId(terms), state(0, 0, Status.Disputed), "evidence");
        vm.prank(payer);
        escrow.openDispute(terms, "evidence");
        vm.prank(payer);
        escrow.withdrawDispute(terms);
        DealState byPayee = DealState.wrap(DealState.unwrap(state(0, 0, Status.Disputed)) | (1 << 248));
        expectEvent();
        emit IEscrow.DisputeOpened(escrow.dealId(terms), byPayee, 0);
        vm.prank(payee);
        escrow.openDispute(terms, 0);
        assertDeal(terms, 0, 0, Status.Disputed);
    }

    function test_RevertWhen_OpenedLate() public {
        Terms memory terms = funded();
        vm.warp(terms.settlementDeadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEscrow.AfterDeadline.selector,
                terms.settlementDeadline + 1,
                terms.settlementDeadline
            )
        );
        vm.prank(payer);
        escrow.openDispute(terms, 0);
    }

    function test_RevertWhen_OpenedWithoutAnArbiter() public {
        Terms memory terms = usualTerms();
        terms.arbiter = address(0);
        fundedAs(terms);
        vm.expectRevert(IEscrow.NoArbiter.selector);
        vm.prank(payer);
        escrow.openDispute(terms, 0);
    }

    function test_RevertWhen_OpenedTwiceOrUnfunded() public {
        Terms memory terms = disputed();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Disputed, Status.Funded));
        vm.prank(payee);
        escrow.openDispute(terms, 0);
        terms.ref++;
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.None, Status.Funded));
        vm.prank(payer);
        escrow.openDispute(terms, 0);
    }

    function test_RevertWhen_AnybodyElseOpens() public {
        Terms memory terms = funded();
        address[3] memory others = [operator, arbiter, stranger];
        for (uint256 i; i < others.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, others[i], payer, payee));
            vm.prank(others[i]);
            escrow.openDispute(terms, 0);
        }
    }

    function test_Withdraw_GivesTheDealBackToTheOperator() public {
        Terms memory terms = disputed();
        vm.prank(payer);
        escrow.releasePart(terms, 5);
        expectEvent();
        emit IEscrow.DisputeWithdrawn(escrow.dealId(terms), state(5, 0, Status.Funded));
        vm.prank(payer);
        escrow.withdrawDispute(terms);
        vm.prank(operator);
        escrow.release(terms);
        assertDeal(terms, AMOUNT, 0, Status.Settled);
    }

    function test_RevertWhen_TheOtherPartyWithdraws() public {
        Terms memory terms = disputed();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, payee, payer, address(0)));
        vm.prank(payee);
        escrow.withdrawDispute(terms);
        vm.prank(payer);
        escrow.withdrawDispute(terms);
        vm.prank(payee);
        escrow.openDispute(terms, 0);
        vm.prank(payee);
        escrow.refundPart(terms, 1); // a part in between keeps who opened it
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, payer, payee, address(0)));
        vm.prank(payer);
        escrow.withdrawDispute(terms);
        vm.prank(payee);
        escrow.withdrawDispute(terms);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Funded, Status.Disputed));
        vm.prank(payee);
        escrow.withdrawDispute(terms);
    }

    /// Who opened the last dispute counts, whoever opened one before.
    function test_AWithdrawnDispute_LeavesNothingBehind() public {
        Terms memory terms = funded();
        vm.prank(payee);
        escrow.openDispute(terms, 0);
        expectEvent();
        emit IEscrow.DisputeWithdrawn(escrow.dealId(terms), state(0, 0, Status.Funded));
        vm.prank(payee);
        escrow.withdrawDispute(terms);
        expectEvent();
        emit IEscrow.DisputeOpened(escrow.dealId(terms), state(0, 0, Status.Disputed), 0);
        vm.prank(payer);
        escrow.openDispute(terms, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, payee, payer, address(0)));
        vm.prank(payee);
        escrow.withdrawDispute(terms);
        vm.prank(payer);
        escrow.withdrawDispute(terms);
    }

    function testFuzz_Resolve_AnySplit(uint256 toPayee) public {
        toPayee %= AMOUNT + 1;
        Terms memory terms = disputed();
        uint256 before = usdc.balanceOf(payer);
        vm.warp(terms.resolutionDeadline);
        expectEvent();
        emit IEscrow.Resolved(escrow.dealId(terms), state(toPayee, AMOUNT - toPayee, Status.Settled));
        vm.prank(arbiter);
        escrow.resolve(terms, toPayee);
        uint256 fee = (FEE * toPayee) / AMOUNT;
        vm.assertEq(usdc.balanceOf(payee), toPayee - fee, "payee");
        vm.assertEq(usdc.balanceOf(payer), before + AMOUNT - toPayee, "payer");
        vm.assertEq(escrow.creditOf(address(usdc), feeRecipient), fee, "fee");
    }

    function test_RevertWhen_ResolvedLateOrTooMuchOrUndisputed() public {
        Terms memory terms = funded();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Funded, Status.Disputed));
        vm.prank(arbiter);
        escrow.resolve(terms, 1);
        vm.prank(payer);
        escrow.openDispute(terms, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, AMOUNT + 1, AMOUNT));
        vm.prank(arbiter);
        escrow.resolve(terms, AMOUNT + 1);
        vm.warp(terms.resolutionDeadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEscrow.AfterDeadline.selector,
                terms.resolutionDeadline + 1,
                terms.resolutionDeadline
            )
        );
        vm.prank(arbiter);
        escrow.resolve(terms, 1);
    }

    function test_RevertWhen_AnybodyElseResolves() public {
        Terms memory terms = disputed();
        address[4] memory others = [payer, payee, operator, stranger];
        for (uint256 i; i < others.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IEscrow.NotAllowed.selector, others[i], arbiter, address(0)));
            vm.prank(others[i]);
            escrow.resolve(terms, 0);
        }
    }

    function test_Settle_RelayedByAnyone() public {
        Terms memory terms = disputed();
        bytes memory ofPayer = settlement(PAYER_KEY, terms, 0, 70, START + 5);
        bytes memory ofPayee = settlement(PAYEE_KEY, terms, 0, 70, START + 5);
        expectEvent();
        emit IEscrow.DealSettled(escrow.dealId(terms), state(70, AMOUNT - 70, Status.Settled));
        vm.prank(stranger);
        escrow.settle(terms, 70, START + 5, ofPayer, ofPayee);
        assertDeal(terms, 70, AMOUNT - 70, Status.Settled);
    }

    function test_Settle_CalledByAParty_NeedsTheOthersSignature() public {
        Terms memory terms = funded();
        bytes memory ofPayee = settlement(PAYEE_KEY, terms, 0, 70, START + 5);
        vm.prank(payer);
        escrow.settle(terms, 70, START + 5, "", ofPayee);
        terms.ref++;
        fundedAs(terms);
        bytes memory ofPayer = settlement(PAYER_KEY, terms, 0, 70, START + 5);
        vm.prank(payee);
        escrow.settle(terms, 70, START + 5, ofPayer, "");
        assertDeal(terms, 70, AMOUNT - 70, Status.Settled);
    }

    function test_RevertWhen_SomethingWasSettledInBetween() public {
        Terms memory terms = funded();
        bytes memory ofPayer = settlement(PAYER_KEY, terms, 0, 70, START + 5);
        bytes memory ofPayee = settlement(PAYEE_KEY, terms, 0, 70, START + 5);
        vm.prank(operator);
        escrow.releasePart(terms, 1);
        refuses(terms, 70, START + 5, ofPayer, ofPayee);
        ofPayer = settlement(PAYER_KEY, terms, 1, 70, START + 5);
        ofPayee = settlement(PAYEE_KEY, terms, 1, 70, START + 5);
        escrow.settle(terms, 70, START + 5, ofPayer, ofPayee);
    }

    function test_RevertWhen_ASettlementIsNotWhatWasSigned() public {
        Terms memory terms = funded();
        bytes memory ofPayer = settlement(PAYER_KEY, terms, 0, 70, START + 5);
        bytes memory ofPayee = settlement(PAYEE_KEY, terms, 0, 70, START + 5);
        refuses(terms, 71, START + 5, ofPayer, ofPayee);
        refuses(terms, 70, START + 6, ofPayer, ofPayee);
        refuses(terms, 70, START + 5, ofPayee, ofPayer);
        refuses(terms, 70, START + 5, ofPayer, ofPayer);
        refuses(terms, 70, START + 5, "", ofPayee);
        refuses(terms, 70, START + 5, ofPayer, bytes.concat(ofPayee, hex"00"));
        refuses(terms, 70, START + 5, malleated(ofPayer), ofPayee);
        Terms memory other = usualTerms();
        other.ref++;
        fundedAs(other);
        refuses(other, 70, START + 5, ofPayer, ofPayee);
        escrow.settle(terms, 70, START + 5, ofPayer, ofPayee);
    }

    function test_RevertWhen_ASettlementWasSignedForAnotherChain() public {
        Terms memory terms = usualTerms();
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        fundedAs(terms);
        DealId id = escrow.dealId(terms);
        vm.chainId(chain);
        bytes memory ofPayer = signed(PAYER_KEY, id, 0, 70, START + 5, chain);
        bytes memory ofPayee = signed(PAYEE_KEY, id, 0, 70, START + 5, chain);
        vm.chainId(chain + 1);
        refuses(terms, 70, START + 5, ofPayer, ofPayee);
    }

    function test_Settle_WithAWallet_AsItSays() public {
        Wallet wallet = new Wallet(payee);
        Terms memory terms = usualTerms();
        terms.payee = address(wallet);
        fundedAs(terms);
        bytes memory ofPayer = settlement(PAYER_KEY, terms, 0, 70, START + 5);
        bytes memory ofWallet = settlement(PAYEE_KEY, terms, 0, 70, START + 5);
        refuses(terms, 70, START + 5, ofPayer, ofPayer);
        Wallet.Mood[5] memory moods = [
            Wallet.Mood.Reverts,
            Wallet.Mood.ReturnsNothing,
            Wallet.Mood.ReturnsAnotherWord,
            Wallet.Mood.BurnsGas,
            Wallet.Mood.Floods
        ];
        for (uint256 i; i < moods.length; i++) {
            wallet.become(moods[i]);
            (bool ok, ) = diamond.call{gas: 3_000_000}(
                abi.encodeCall(IEscrow.settle, (terms, 70, START + 5, ofPayer, ofWallet))
            );
            vm.assertTrue(!ok, "a wallet that does not agree");
        }
        wallet.become(Wallet.Mood.Honest);
        escrow.settle(terms, 70, START + 5, ofPayer, ofWallet);
        assertDeal(terms, 70, AMOUNT - 70, Status.Settled);
    }

    function test_RevertWhen_SettledLateOrTooMuchOrWithNothingHeld() public {
        Terms memory terms = funded();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, AMOUNT + 1, AMOUNT));
        escrow.settle(terms, AMOUNT + 1, START + 5, "", "");
        vm.warp(START + 6);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AfterDeadline.selector, START + 6, START + 5));
        escrow.settle(terms, 1, START + 5, "", "");
        terms.ref++;
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.None, Status.Funded));
        escrow.settle(terms, 1, START + 9, "", "");
    }

    function refuses(
        Terms memory terms,
        uint256 toPayee,
        uint256 deadline,
        bytes memory ofPayer,
        bytes memory ofPayee
    ) private {
        bytes memory data = abi.encodeCall(IEscrow.settle, (terms, toPayee, deadline, ofPayer, ofPayee));
        (bool ok, bytes memory reason) = diamond.call(data);
        vm.assertTrue(!ok && bytes4(reason) == IEscrow.SignatureInvalid.selector, "refused as not signed");
    }

    function settlement(
        uint256 key,
        Terms memory terms,
        uint256 released,
        uint256 toPayee,
        uint256 deadline
    ) private view returns (bytes memory) {
        return signed(key, escrow.dealId(terms), released, toPayee, deadline, block.chainid);
    }

    function signed(
        uint256 key,
        DealId id,
        uint256 released,
        uint256 toPayee,
        uint256 deadline,
        uint256 chain
    ) private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Dealkeep"),
                keccak256("1"),
                chain,
                diamond
            )
        );
        bytes32 content = keccak256(
            abi.encode(SETTLEMENT, id, released, 0, toPayee, AMOUNT - released - toPayee, deadline)
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, content)));
        return join(v, r, s);
    }

    /// The other signature of the same key over the same hash.
    function malleated(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = (bytes32(0), bytes32(0));
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        return join(uint8(signature[64]) == 27 ? 28 : 27, r, bytes32(order - uint256(s)));
    }
}
