// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DealId, IEscrow, Status, Terms} from "../../contracts/interfaces/IEscrow.sol";
import {EscrowTest} from "./support/EscrowTest.sol";
import {HandlerSignatures} from "./support/HandlerSignatures.sol";
import {Wallet} from "./support/Wallet.sol";

// a signature (ERC-3009 and Permit2, each for a deal and for a cart; a settlement)
// ├── on another chain, at another diamond, in another function: it should be refused
// ├── for another wallet of the same key: it should be refused
// ├── by another signer, or with the other s: it should be refused
// ├── a second late: it should be refused; in the last second: it should be accepted
// ├── a second time: it should be refused, also after everything went back
// └── taken to the token itself: it should be refused
contract ReplayTest is EscrowTest {
    /// depositWithAuthorization(Terms,uint256,uint256,bytes)
    bytes4 private constant BY_AUTHORIZATION = 0xbe5a7a50;
    uint256 private constant KINDS = 5;
    uint256 private constant UNTIL = START + 5;

    address private otherDiamond;

    function setUp() public override {
        super.setUp();
        vm.prank(payer);
        usdc.approve(permit2, type(uint256).max);
        address[] memory tokens = new address[](1);
        tokens[0] = address(usdc);
        otherDiamond = make("Diamond.sol:Diamond", abi.encode(owner, guardian, permit2, facetCuts(), tokens));
        vm.prank(payer);
        usdc.approve(otherDiamond, type(uint256).max);
    }

    function test_OnAnotherChain_IsRefused() public {
        uint256 home = block.chainid;
        for (uint256 kind; kind < KINDS; kind++) {
            bytes memory data = callOf(kind, PAYER_KEY, PAYEE_KEY);
            vm.chainId(home + 1);
            refused(diamond, data);
            vm.chainId(home);
            accepted(data);
        }
    }

    function test_AtAnotherDiamond_IsRefused() public {
        for (uint256 kind; kind < KINDS; kind++) {
            bytes memory data = callOf(kind, PAYER_KEY, PAYEE_KEY);
            if (kind == 4) {
                vm.prank(payer);
                IEscrow(otherDiamond).deposit(termsOf(4));
            }
            refused(otherDiamond, data);
            accepted(data);
        }
    }

    function test_InAnotherFunction_IsRefused() public {
        Terms memory terms = usualTerms();
        DealId id = escrow.dealId(terms);
        Terms[] memory cart = new Terms[](1);
        cart[0] = terms;
        bytes32 hash = keccak256(abi.encode(id));
        bytes memory ofDeal = authorization(PAYER_KEY, terms, DealId.unwrap(id));
        bytes memory ofCart = authorization(PAYER_KEY, terms, hash);
        bytes memory toPermit2 = HandlerSignatures.permit2Deal(PAYER_KEY, permit2, diamond, terms, 0, UNTIL);
        bytes memory cartToPermit2 = HandlerSignatures.permit2Cart(PAYER_KEY, permit2, diamond, terms, hash, 0, UNTIL);

        refused(diamond, abi.encodeCall(IEscrow.depositManyWithAuthorization, (cart, 0, UNTIL, ofDeal)));
        refused(diamond, abi.encodeCall(IEscrow.depositManyWithAuthorization, (cart, 0, UNTIL, toPermit2)));
        refused(diamond, abi.encodeCall(IEscrow.depositManyWithPermit2, (cart, 0, UNTIL, toPermit2)));
        refused(diamond, abi.encodeCall(IEscrow.depositManyWithPermit2, (cart, 0, UNTIL, ofCart)));
        refused(diamond, abi.encodeWithSelector(BY_AUTHORIZATION, terms, 0, UNTIL, ofCart));
        refused(diamond, abi.encodeWithSelector(BY_AUTHORIZATION, terms, 0, UNTIL, toPermit2));
        refused(diamond, abi.encodeCall(IEscrow.depositWithPermit2, (terms, 0, UNTIL, cartToPermit2)));
        refused(diamond, abi.encodeCall(IEscrow.depositWithPermit2, (terms, 0, UNTIL, ofDeal)));
        refused(diamond, abi.encodeCall(IEscrow.settle, (terms, AMOUNT, UNTIL, ofDeal, ofDeal)));
        accepted(abi.encodeCall(IEscrow.depositManyWithAuthorization, (cart, 0, UNTIL, ofCart)));
        refused(diamond, abi.encodeWithSelector(BY_AUTHORIZATION, terms, 0, UNTIL, ofDeal));
        refused(diamond, abi.encodeCall(IEscrow.settle, (terms, AMOUNT, UNTIL, ofDeal, toPermit2)));
    }

    /// A key often owns several smart accounts; what it signed for one must not move the other's tokens or end its deal.
    function test_ForAnotherWalletOfTheSameKey_IsRefused() public {
        address[2] memory wallets = [address(new Wallet(payer)), address(new Wallet(payer))];
        Terms memory terms = usualTerms();
        for (uint256 i; i < 2; i++) {
            usdc.mint(wallets[i], 10 * AMOUNT);
            vm.prank(wallets[i]);
            usdc.approve(permit2, type(uint256).max);
        }
        terms.payer = wallets[0];
        bytes memory by3009 = authorization(PAYER_KEY, terms, DealId.unwrap(escrow.dealId(terms)));
        terms.payer = wallets[1];
        refused(diamond, abi.encodeWithSelector(BY_AUTHORIZATION, terms, 0, UNTIL, by3009));
        terms.payer = wallets[0];
        accepted(abi.encodeWithSelector(BY_AUTHORIZATION, terms, 0, UNTIL, by3009));

        terms.ref++;
        bytes memory byPermit2 = HandlerSignatures.permit2Deal(PAYER_KEY, permit2, diamond, terms, 0, UNTIL);
        terms.payer = wallets[1];
        refused(diamond, abi.encodeCall(IEscrow.depositWithPermit2, (terms, 0, UNTIL, byPermit2)));
        terms.payer = wallets[0];
        accepted(abi.encodeCall(IEscrow.depositWithPermit2, (terms, 0, UNTIL, byPermit2)));

        bytes memory ofPayer = settlementOf(PAYER_KEY, terms);
        bytes memory ofPayee = settlementOf(PAYEE_KEY, terms);
        Terms memory ofOther = usualTerms();
        (ofOther.ref, ofOther.payer) = (terms.ref, wallets[1]);
        vm.prank(payer);
        escrow.deposit(ofOther);
        refused(diamond, abi.encodeCall(IEscrow.settle, (ofOther, AMOUNT, UNTIL, ofPayer, ofPayee)));
        accepted(abi.encodeCall(IEscrow.settle, (terms, AMOUNT, UNTIL, ofPayer, ofPayee)));
    }

    function test_ByAnotherSigner_IsRefused() public {
        for (uint256 kind; kind < KINDS; kind++) {
            refused(diamond, callOf(kind, PAYEE_KEY, PAYEE_KEY));
            refused(diamond, callOf(kind, uint256(keccak256("operator")), PAYEE_KEY));
            accepted(callOf(kind, PAYER_KEY, PAYEE_KEY));
        }
        refused(diamond, signed(4, 1, settlementOf(PAYER_KEY, termsOf(4)), settlementOf(PAYER_KEY, termsOf(4))));
    }

    function test_WithTheOtherS_IsRefused() public {
        for (uint256 kind; kind < KINDS; kind++) {
            bytes memory signature = signatureOf(kind, PAYER_KEY);
            bytes memory ofPayee = settlementOf(PAYEE_KEY, termsOf(4));
            refused(diamond, signed(kind, 0, malleated(signature), ofPayee));
            refused(diamond, signed(kind, 0, bytes.concat(signature, hex"00"), ofPayee));
            accepted(signed(kind, 0, signature, ofPayee));
        }
    }

    /// ERC-3009's last second is the one before `validBefore`; Permit2's and ours is the deadline itself.
    function test_Late_IsRefused() public {
        for (uint256 kind; kind < KINDS; kind++) {
            bool exclusive = kind == 0 || kind == 2;
            bytes memory data = callOf(kind, PAYER_KEY, PAYEE_KEY);
            vm.warp(exclusive ? UNTIL : UNTIL + 1);
            refused(diamond, data);
            vm.warp(exclusive ? UNTIL - 1 : UNTIL);
            accepted(data);
        }
    }

    function test_ASecondTime_IsRefused() public {
        for (uint256 kind; kind < KINDS; kind++) {
            bytes memory data = callOf(kind, PAYER_KEY, PAYEE_KEY);
            accepted(data);
            refused(diamond, data);
            if (kind == 4) continue;
            vm.prank(payee);
            escrow.cancelDeal(termsOf(kind));
            refused(diamond, data);
        }
    }

    function test_TakenToTheToken_IsRefused() public {
        Terms memory terms = termsOf(0);
        bytes32 nonce = DealId.unwrap(escrow.dealId(terms));
        bytes memory signature = signatureOf(0, PAYER_KEY);
        (uint8 v, bytes32 r, bytes32 s) = split(signature);
        bytes memory rest = abi.encode(payer, diamond, AMOUNT, 0, UNTIL, nonce, v, r, s);
        refused(
            address(usdc),
            bytes.concat(
                bytes4(
                    keccak256(
                        "receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"
                    )
                ),
                rest
            )
        );
        refused(
            address(usdc),
            bytes.concat(
                bytes4(
                    keccak256(
                        "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"
                    )
                ),
                rest
            )
        );
        accepted(signed(0, 0, signature, ""));
    }

    /// A deal of its own for each kind, so that one accepted does not stand in the next one's way.
    function termsOf(uint256 kind) private view returns (Terms memory terms) {
        terms = usualTerms();
        terms.ref += 10 * kind;
    }

    function cartOf(uint256 kind) private view returns (Terms[] memory cart) {
        cart = new Terms[](2);
        (cart[0], cart[1]) = (termsOf(kind), termsOf(kind));
        cart[1].ref++;
    }

    function callOf(uint256 kind, uint256 payerKey, uint256 payeeKey) private returns (bytes memory) {
        return signed(kind, 0, signatureOf(kind, payerKey), settlementOf(payeeKey, termsOf(4)));
    }

    /// What the payer signs; the deal that a settlement splits is funded first.
    function signatureOf(uint256 kind, uint256 key) private returns (bytes memory) {
        Terms memory terms = termsOf(kind);
        if (kind == 0) return authorization(key, terms, DealId.unwrap(escrow.dealId(terms)));
        if (kind == 1) return HandlerSignatures.permit2Deal(key, permit2, diamond, terms, kind, UNTIL);
        if (kind == 4) {
            if (escrow.getDeal(escrow.dealId(terms)).status == Status.None) fundedAs(terms);
            return settlementOf(key, terms);
        }
        Terms[] memory cart = cartOf(kind);
        bytes32 deals = keccak256(abi.encode(escrow.dealId(cart[0]), escrow.dealId(cart[1])));
        terms.amount *= 2;
        if (kind == 2) return authorization(key, terms, deals);
        return HandlerSignatures.permit2Cart(key, permit2, diamond, terms, deals, kind, UNTIL);
    }

    function signed(
        uint256 kind,
        uint256 shift,
        bytes memory ofPayer,
        bytes memory ofPayee
    ) private view returns (bytes memory) {
        if (kind == 0) return abi.encodeWithSelector(BY_AUTHORIZATION, termsOf(0), shift, UNTIL, ofPayer);
        if (kind == 1) return abi.encodeCall(IEscrow.depositWithPermit2, (termsOf(1), kind, UNTIL, ofPayer));
        if (kind == 2) {
            return abi.encodeCall(IEscrow.depositManyWithAuthorization, (cartOf(kind), 0, UNTIL, ofPayer));
        }
        if (kind == 3) return abi.encodeCall(IEscrow.depositManyWithPermit2, (cartOf(kind), kind, UNTIL, ofPayer));
        return abi.encodeCall(IEscrow.settle, (termsOf(4), AMOUNT, UNTIL, ofPayer, ofPayee));
    }

    function settlementOf(uint256 key, Terms memory terms) private view returns (bytes memory) {
        uint256[5] memory numbers = [uint256(0), 0, AMOUNT, 0, UNTIL];
        return HandlerSignatures.settlement(key, diamond, escrow.dealId(terms), numbers);
    }

    function authorization(uint256 key, Terms memory terms, bytes32 nonce) private view returns (bytes memory) {
        bytes32 domain = usdc.DOMAIN_SEPARATOR();
        return HandlerSignatures.authorization(key, domain, diamond, terms, DealId.wrap(nonce), UNTIL);
    }

    function split(bytes memory signature) private pure returns (uint8 v, bytes32 r, bytes32 s) {
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
        }
        v = uint8(signature[64]);
    }

    /// The other signature of the same key over the same hash.
    function malleated(bytes memory signature) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = split(signature);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        return join(v == 27 ? 28 : 27, r, bytes32(order - uint256(s)));
    }

    function refused(address target, bytes memory data) private {
        uint256 before = usdc.balanceOf(payer);
        vm.prank(stranger);
        (bool ok, ) = target.call(data);
        vm.assertTrue(!ok, "refused");
        vm.assertEq(usdc.balanceOf(payer), before, "nothing moved");
    }

    function accepted(bytes memory data) private {
        vm.prank(stranger);
        (bool ok, ) = diamond.call(data);
        vm.assertTrue(ok, "accepted where and when it was meant");
    }
}
