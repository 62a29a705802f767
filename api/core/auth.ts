// Owns tokens and secrets. Every key is derived from the one master secret, so nothing here is stored: integration tokens
// are EdDSA JWTs, access tokens are HS256 JWTs for one payment's widget, each with an audience that the other lacks.
import { createHash, createPrivateKey, createPublicKey, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { CoreError } from './errors.ts';

const ISSUER = 'dealkeep';
const API_AUDIENCE = 'dealkeep:api';
const WIDGET_AUDIENCE = 'dealkeep:widget';

/** How long an integration token is valid, in seconds. */
export const INTEGRATION_TOKEN_SECONDS = 3_600;
/** How long after a deal's last deadline its access token still opens the widget's data, in seconds. */
export const ACCESS_TOKEN_GRACE_SECONDS = 30 * 86_400;

/** What an access token is derived from; the same claims always give the same token. */
export type AccessClaims = {
  paymentId: string;
  version: number;
  issuedAt: Date;
  /** Unix seconds. */
  lastDeadline: bigint;
};

// RFC 8410: the fixed PKCS #8 prefix of an Ed25519 private key, before its 32-byte seed.
const ED25519_PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Signs and verifies tokens under keys derived from `masterSecret`. */
export class Tokens {
  readonly #signingKey;
  readonly #verifyingKey;
  readonly #accessKey: Uint8Array;
  readonly #keyId: string;

  /** @param masterSecret 32 bytes as hex; @throws invalid_request when it is anything else. */
  constructor(masterSecret: string) {
    if (!/^(0x)?[0-9a-f]{64}$/i.test(masterSecret)) {
      throw new CoreError('invalid_request', 'The master secret must be 32 bytes as hex.');
    }
    const secret = Buffer.from(masterSecret.replace(/^0x/, ''), 'hex');
    const derive = (purpose: string) => Buffer.from(hkdfSync('sha256', secret, '', purpose, 32));
    this.#signingKey = createPrivateKey({
      key: Buffer.concat([ED25519_PKCS8_PREFIX, derive('integration-token')]),
      format: 'der',
      type: 'pkcs8',
    });
    this.#verifyingKey = createPublicKey(this.#signingKey);
    this.#keyId = createHash('sha256')
      .update(this.#verifyingKey.export({ format: 'der', type: 'spki' }))
      .digest('hex')
      .slice(0, 16);
    this.#accessKey = derive('access-token');
  }

  /** A bearer token for one integration, valid for {@link INTEGRATION_TOKEN_SECONDS}. */
  async issueIntegrationToken(integrationId: string): Promise<string> {
    return await new SignJWT()
      .setProtectedHeader({ alg: 'EdDSA', kid: this.#keyId })
      .setIssuer(ISSUER)
      .setAudience(API_AUDIENCE)
      .setSubject(integrationId)
      .setIssuedAt()
      .setExpirationTime(`${INTEGRATION_TOKEN_SECONDS}s`)
      .sign(this.#signingKey);
  }

  /** The integration's id. @throws unauthenticated when the token is not a valid integration token. */
  async verifyIntegrationToken(token: string): Promise<string> {
    return await subjectOf(
      jwtVerify(token, this.#verifyingKey, {
        algorithms: ['EdDSA'],
        issuer: ISSUER,
        audience: API_AUDIENCE,
        requiredClaims: ['sub', 'exp'],
      }),
    );
  }

  /** The access token of one payment: derived from its claims, so that every read can return it. */
  async accessToken({ paymentId, version, issuedAt, lastDeadline }: AccessClaims): Promise<string> {
    return await new SignJWT({ ver: version })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer(ISSUER)
      .setAudience(WIDGET_AUDIENCE)
      .setSubject(paymentId)
      .setIssuedAt(Math.floor(issuedAt.getTime() / 1000))
      .setExpirationTime(Number(lastDeadline) + ACCESS_TOKEN_GRACE_SECONDS)
      .sign(this.#accessKey);
  }

  /** The payment's id and the token's version. @throws unauthenticated when it is not a valid access token. */
  async verifyAccessToken(token: string): Promise<{ paymentId: string; version: number }> {
    const verified = jwtVerify(token, this.#accessKey, {
      algorithms: ['HS256'],
      issuer: ISSUER,
      audience: WIDGET_AUDIENCE,
      requiredClaims: ['sub', 'exp', 'ver'],
    });
    const paymentId = await subjectOf(verified);
    return { paymentId, version: Number((await verified).payload.ver) };
  }
}

async function subjectOf(verification: ReturnType<typeof jwtVerify>): Promise<string> {
  try {
    return (await verification).payload.sub as string;
  } catch {
    throw new CoreError('unauthenticated', 'The token is not valid here, or has expired.');
  }
}

/** A client secret: 32 random bytes, so that a plain hash keeps it safe. */
export function newSecret(): string {
  return `dk_${randomBytes(32).toString('base64url')}`;
}

/** What is stored of a secret. */
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Compares in constant time. */
export function secretMatches(secret: string, storedHash: Uint8Array): boolean {
  return timingSafeEqual(hashSecret(secret), storedHash);
}
