// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {Wallet} from "./support/Wallet.sol";
import {EscrowTest} from "./support/EscrowTest.sol";

// depositWithPermit
// ├── it should set the caller's allowance and hold the amount
// ├── when somebody used the permit before: it should still hold
// └── when the permit is somebody else's: it should never touch his tokens
// depositWithAuthorization
// ├── relayed by anyone: it should hold the payer's tokens
// ├── bytes form: it should accept a wallet with code, and a key
// ├── when the signature is for other terms, or the terms name no payer: it should revert
// └── when the authorization was used elsewhere: it should revert
// depositWithPermit2
// ├── relayed by anyone: it should hold the payer's tokens
// └── when any field differs from what was signed, or the nonce was used: it should revert
// depositMany
// ├── it should open all with one pull
// ├── when one entry fails: it should open none
// ├── when tokens are mixed, or the batch is empty or too large: it should revert
// └── by one signature (3009, Permit2): it should bind all ids in order, and one payer
contract DepositRelayedTest is EscrowTest {
    bytes32 private constant RECEIVE = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 private constant PERMIT = keccak256(
        "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
    );
    string private constant TERMS =
        "Terms(uint256 ref,address operator,address payee,address payer,address token,uint256 amount,uint256 fee,address feeRecipient,address arbiter,uint256 depositDeadline,uint256 settlementDeadline,uint256 resolutionDeadline,uint8 defaultOutcome)";
    string private constant PERMISSIONS = "TokenPermissions(address token,uint256 amount)";

    function setUp() public override {
        super.setUp();
        vm.prank(payer);
        usdc.approve(diamond, 0);
        vm.prank(payer);
        usdc.approve(permit2, type(uint256).max);
    }

    function test_Permit_SetsTheCallersAllowance() public {
        (uint8 v, bytes32 r, bytes32 s) = permit(AMOUNT);
        vm.prank(payer);
        escrow.depositWithPermit(usualTerms(), START + 1, v, r, s);
        assertDeal(usualTerms(), 0, 0, Status.Funded);
        vm.assertEq(usdc.allowance(payer, diamond), 0, "exact");
    }

    function test_Permit_UsedBySomebodyBefore_StillHolds() public {
        (uint8 v, bytes32 r, bytes32 s) = permit(AMOUNT);
        vm.prank(stranger);
        usdc.permit(payer, diamond, AMOUNT, START + 1, v, r, s);
        vm.prank(payer);
        escrow.depositWithPermit(usualTerms(), START + 1, v, r, s);
        assertDeal(usualTerms(), 0, 0, Status.Funded);
    }

    function test_RevertWhen_APermitIsSomebodyElses() public {
        (uint8 v, bytes32 r, bytes32 s) = permit(AMOUNT);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.TransferFailed.selector, address(usdc), stranger, diamond, AMOUNT)
        );
        vm.prank(stranger);
        escrow.depositWithPermit(usualTerms(), START + 1, v, r, s);
        vm.assertEq(usdc.allowance(payer, diamond), 0, "nothing was allowed");
    }

    function test_Authorization_RelayedByAnyone() public {
        Terms memory terms = usualTerms();
        (uint8 v, bytes32 r, bytes32 s) = authorize(PAYER_KEY, payer, AMOUNT, DealId.unwrap(escrow.dealId(terms)));
        uint256 before = usdc.balanceOf(payer);
        vm.prank(stranger);
        escrow.depositWithAuthorization(terms, 0, START + 1, v, r, s);
        vm.assertEq(usdc.balanceOf(payer), before - AMOUNT, "payer's tokens");
        assertDeal(terms, 0, 0, Status.Funded);
    }

    function test_Authorization_AsBytesOfAKeyAndOfAWallet() public {
        Terms memory terms = usualTerms();
        (uint8 v, bytes32 r, bytes32 s) = authorize(PAYER_KEY, payer, AMOUNT, DealId.unwrap(escrow.dealId(terms)));
        escrow.depositWithAuthorization(terms, 0, START + 1, join(v, r, s));
        assertDeal(terms, 0, 0, Status.Funded);

        Wallet wallet = new Wallet(payer);
        usdc.mint(address(wallet), AMOUNT);
        terms.payer = address(wallet);
        bytes32 id = DealId.unwrap(escrow.dealId(terms));
        (v, r, s) = authorize(PAYEE_KEY, address(wallet), AMOUNT, id);
        bytes memory wrong = join(v, r, s);
        vm.expectRevert();
        escrow.depositWithAuthorization(terms, 0, START + 1, wrong);
        (v, r, s) = authorize(PAYER_KEY, address(wallet), AMOUNT, id);
        escrow.depositWithAuthorization(terms, 0, START + 1, join(v, r, s));
        assertDeal(terms, 0, 0, Status.Funded);
    }

    function test_RevertWhen_AnAuthorizationIsForOtherTerms() public {
        Terms memory terms = usualTerms();
        (uint8 v, bytes32 r, bytes32 s) = authorize(PAYER_KEY, payer, AMOUNT, DealId.unwrap(escrow.dealId(terms)));
        terms.operator = stranger;
        vm.expectRevert();
        escrow.depositWithAuthorization(terms, 0, START + 1, v, r, s);
    }

    function test_RevertWhen_ARelayedDepositNamesNoPayer() public {
        Terms memory terms = usualTerms();
        terms.payer = address(0);
        vm.expectRevert(IEscrow.PayerMissing.selector);
        escrow.depositWithAuthorization(terms, 0, START + 1, 27, 0, 0);
        vm.expectRevert(IEscrow.PayerMissing.selector);
        escrow.depositWithAuthorization(terms, 0, START + 1, "");
        vm.expectRevert(IEscrow.PayerMissing.selector);
        escrow.depositWithPermit2(terms, 0, START + 1, "");
        Terms[] memory list = new Terms[](1);
        list[0] = terms;
        vm.expectRevert(IEscrow.PayerMissing.selector);
        escrow.depositManyWithAuthorization(list, 0, START + 1, "");
        vm.expectRevert(IEscrow.PayerMissing.selector);
        escrow.depositManyWithPermit2(list, 0, START + 1, "");
    }

    function test_Permit2_RelayedByAnyone_ForTheseTermsOnce() public {
        Terms memory terms = usualTerms();
        bytes memory signature = permit2Deal(terms, 5);
        Terms memory other = usualTerms();
        other.arbiter = stranger;
        vm.expectRevert();
        escrow.depositWithPermit2(other, 5, START + 1, signature);
        vm.expectRevert();
        escrow.depositWithPermit2(terms, 6, START + 1, signature);
        vm.prank(stranger);
        escrow.depositWithPermit2(terms, 5, START + 1, signature);
        assertDeal(terms, 0, 0, Status.Funded);
        other.ref++;
        signature = permit2Deal(other, 5);
        vm.expectRevert();
        escrow.depositWithPermit2(other, 5, START + 1, signature);
    }

    function test_Many_OpensAllWithOnePull() public {
        Terms[] memory list = cart(3);
        vm.prank(payer);
        usdc.approve(diamond, 3 * AMOUNT);
        vm.recordLogs();
        vm.prank(payer);
        escrow.depositMany(list);
        vm.assertEq(vm.getRecordedLogs().length, 4, "three deals and one transfer");
        for (uint256 i; i < 3; i++) assertDeal(list[i], 0, 0, Status.Funded);
        vm.assertEq(usdc.balanceOf(diamond), 3 * AMOUNT, "held");
    }

    function test_RevertWhen_OneOfManyFails_OpensNone() public {
        Terms[] memory list = cart(3);
        vm.prank(payer);
        usdc.approve(diamond, type(uint256).max);
        list[2].amount = 0;
        list[2].fee = 0;
        vm.expectRevert(abi.encodeWithSelector(IEscrow.AmountOutOfRange.selector, 0, type(uint120).max));
        vm.prank(payer);
        escrow.depositMany(list);
        list[2] = list[0];
        vm.expectRevert(abi.encodeWithSelector(IEscrow.WrongStatus.selector, Status.Funded, Status.None));
        vm.prank(payer);
        escrow.depositMany(list);
        assertDeal(list[0], 0, 0, Status.None);
    }

    function test_RevertWhen_ACartIsMixedEmptyOrTooLarge() public {
        Terms[] memory list = cart(2);
        list[1].token = address(usdt);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.CartMixed.selector, address(usdt), address(usdc)));
        vm.prank(payer);
        escrow.depositMany(list);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BatchSize.selector, 0, 100));
        escrow.depositMany(new Terms[](0));
        vm.expectRevert(abi.encodeWithSelector(IEscrow.BatchSize.selector, 101, 100));
        escrow.depositMany(new Terms[](101));
        for (uint256 i; i < 2; i++) {
            Terms[] memory wrong = new Terms[](101 * i);
            bytes memory reason = abi.encodeWithSelector(IEscrow.BatchSize.selector, wrong.length, 100);
            vm.expectRevert(reason);
            escrow.depositManyWithPermit2(wrong, 0, 0, "");
            vm.expectRevert(reason);
            escrow.depositManyWithAuthorization(wrong, 0, 0, "");
        }
    }

    function test_Many_ByOneAuthorization_BindsAllIdsInOrder() public {
        Terms[] memory list = cart(3);
        (uint8 v, bytes32 r, bytes32 s) = authorize(PAYER_KEY, payer, 3 * AMOUNT, idsHash(list));
        bytes memory signature = join(v, r, s);
        (list[0], list[1]) = (list[1], list[0]);
        vm.expectRevert();
        escrow.depositManyWithAuthorization(list, 0, START + 1, signature);
        (list[0], list[1]) = (list[1], list[0]);
        list[2].payer = stranger;
        vm.expectRevert(abi.encodeWithSelector(IEscrow.CartMixed.selector, stranger, payer));
        escrow.depositManyWithAuthorization(list, 0, START + 1, signature);
        list[2].payer = payer;
        vm.prank(stranger);
        escrow.depositManyWithAuthorization(list, 0, START + 1, signature);
        assertDeal(list[2], 0, 0, Status.Funded);
    }

    function test_Many_ByOnePermit2Signature_BindsAllIdsInOrder() public {
        Terms[] memory list = cart(3);
        bytes32 witness = keccak256(abi.encode(keccak256("Cart(bytes32 deals)"), idsHash(list)));
        bytes memory signature = permit2Signature(
            3 * AMOUNT,
            0,
            witness,
            string.concat("Cart witness)Cart(bytes32 deals)", PERMISSIONS)
        );
        (list[0], list[1]) = (list[1], list[0]);
        vm.expectRevert();
        escrow.depositManyWithPermit2(list, 0, START + 1, signature);
        (list[0], list[1]) = (list[1], list[0]);
        vm.prank(stranger);
        escrow.depositManyWithPermit2(list, 0, START + 1, signature);
        assertDeal(list[2], 0, 0, Status.Funded);
    }

    function cart(uint256 size) private view returns (Terms[] memory list) {
        list = new Terms[](size);
        for (uint256 i; i < size; i++) {
            list[i] = usualTerms();
            list[i].ref += i;
        }
    }

    function idsHash(Terms[] memory list) private view returns (bytes32) {
        bytes memory ids;
        for (uint256 i; i < list.length; i++) ids = bytes.concat(ids, DealId.unwrap(escrow.dealId(list[i])));
        return keccak256(ids);
    }

    function permit(uint256 amount) private view returns (uint8, bytes32, bytes32) {
        bytes32 content = keccak256(abi.encode(PERMIT, payer, diamond, amount, usdc.nonces(payer), START + 1));
        return vm.sign(PAYER_KEY, keccak256(abi.encodePacked(hex"1901", usdc.DOMAIN_SEPARATOR(), content)));
    }

    function authorize(
        uint256 key,
        address from,
        uint256 amount,
        bytes32 nonce
    ) private view returns (uint8, bytes32, bytes32) {
        bytes32 content = keccak256(abi.encode(RECEIVE, from, diamond, amount, 0, START + 1, nonce));
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", usdc.DOMAIN_SEPARATOR(), content)));
    }

    function permit2Deal(Terms memory terms, uint256 nonce) private view returns (bytes memory) {
        bytes32 witness = keccak256(abi.encode(keccak256(bytes(TERMS)), terms));
        return permit2Signature(terms.amount, nonce, witness, string.concat("Terms witness)", TERMS, PERMISSIONS));
    }

    function permit2Signature(
        uint256 amount,
        uint256 nonce,
        bytes32 witness,
        string memory rest
    ) private view returns (bytes memory) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)"),
                keccak256("Permit2"),
                block.chainid,
                permit2
            )
        );
        bytes32 permitType = keccak256(
            abi.encodePacked(
                "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,",
                rest
            )
        );
        bytes32 permitted = keccak256(abi.encode(keccak256(bytes(PERMISSIONS)), address(usdc), amount));
        bytes32 content = keccak256(abi.encode(permitType, permitted, diamond, nonce, START + 1, witness));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, keccak256(abi.encodePacked(hex"1901", domain, content)));
        return join(v, r, s);
    }
}
