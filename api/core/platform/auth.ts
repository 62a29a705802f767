// Owns tokens and secrets. Every key is derived from a master secret, so nothing here is stored: integration tokens are
// EdDSA JWTs, access tokens are HS256 JWTs for one payment's widget, each with an audience that the other lacks.
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify, SignJWT } from 'jose';
import { CoreError } from '../errors.ts';
import { derivationOf } from '../secret.ts';

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
  /** The leg whose payee it is for; left out: the buyer's, which opens everything. */
  payeeOfLeg?: number;
};

/** What an access token opens; `payeeOfLeg` null: the whole payment, for its buyer. */
export type OpenedAccess = { paymentId: string; version: number; payeeOfLeg: number | null };

/** What an integration's token says; `scopes` null: it is not narrowed down. */
export type IntegrationClaims = { integrationId: string; scopes: string[] | null };

/** A public key as RFC 8037 writes it. */
export type PublicJwk = { kty: 'OKP'; crv: 'Ed25519'; x: string; kid: string; alg: 'EdDSA'; use: 'sig' };

// RFC 8410: the fixed PKCS #8 prefix of an Ed25519 private key, before its 32-byte seed.
const ED25519_PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

const HS256_HEADER = Buffer.from(JSON.stringify({ alg: 'HS256' })).toString('base64url');

// A token of 500 bytes is remembered in about 300.
const MOST_VERIFIED = 10_000;

type Keys = ReturnType<typeof deriveKeys>;

function deriveKeys(masterSecret: string) {
  const derive = derivationOf(masterSecret);
  const signing = createPrivateKey({
    key: Buffer.concat([ED25519_PKCS8_PREFIX, derive('integration-token', 32)]),
    format: 'der',
    type: 'pkcs8',
  });
  const verifying = createPublicKey(signing);
  const id = createHash('sha256')
    .update(verifying.export({ format: 'der', type: 'spki' }))
    .digest('hex')
    .slice(0, 16);
  return { id, signing, verifying, access: createSecretKey(derive('access-token', 32)), derive };
}

/** Signs under keys of the current master secret; verifies what keys of any of the given ones signed. */
export class Tokens {
  readonly #current: Keys;
  readonly #all: readonly Keys[];
  /** What valid integration tokens say, by their hash, the first one verified first: verifying one takes 0.2 ms. */
  readonly #verified = new Map<string, { claims: IntegrationClaims; expiresAtMs: number }>();

  /** @param currentSecret 32 bytes as hex, like each of `otherSecrets`; @throws invalid_request when one is anything else. */
  constructor(currentSecret: string, otherSecrets: readonly string[] = []) {
    this.#current = deriveKeys(currentSecret);
    this.#all = [this.#current, ...otherSecrets.map(deriveKeys)];
  }

  /** The public keys that integration tokens may be signed under, the current one first. */
  get publicKeys(): PublicJwk[] {
    return this.#all.map(({ id, verifying }) => ({
      kty: 'OKP',
      crv: 'Ed25519',
      x: verifying.export({ format: 'jwk' }).x ?? '',
      kid: id,
      alg: 'EdDSA',
      use: 'sig',
    }));
  }

  /** A bearer token for one integration, valid for {@link INTEGRATION_TOKEN_SECONDS}; `scopes` null: not narrowed down. */
  async issueIntegrationToken(integrationId: string, scopes: readonly string[] | null = null): Promise<string> {
    return await new SignJWT(scopes === null ? {} : { scope: scopes.join(' ') })
      .setProtectedHeader({ alg: 'EdDSA', kid: this.#current.id })
      .setIssuer(ISSUER)
      .setAudience(API_AUDIENCE)
      .setSubject(integrationId)
      .setIssuedAt()
      .setExpirationTime(`${INTEGRATION_TOKEN_SECONDS}s`)
      .sign(this.#current.signing);
  }

  /** What a token says. @throws unauthenticated when it is not a valid integration token. */
  async verifyIntegrationToken(token: string): Promise<IntegrationClaims> {
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(digest);
    if (known && known.expiresAtMs > Date.now()) return known.claims;
    const payload = await verified(
      token,
      this.#all.map(({ verifying }) => verifying),
      {
        algorithms: ['EdDSA'],
        issuer: ISSUER,
        audience: API_AUDIENCE,
        requiredClaims: ['sub', 'exp'],
      },
    );
    const { scope } = payload;
    const scopes = typeof scope === 'string' ? scope.split(' ').filter((name) => name !== '') : null;
    const claims = { integrationId: payload.sub as string, scopes };
    this.#verified.delete(digest);
    this.#verified.set(digest, { claims, expiresAtMs: (payload.exp ?? 0) * 1000 });
    if (this.#verified.size > MOST_VERIFIED) this.#verified.delete(this.#verified.keys().next().value ?? '');
    return claims;
  }

  /** The access token of one payment: derived from its claims, so that every read can return it. */
  accessToken({ paymentId, version, issuedAt, lastDeadline, payeeOfLeg }: AccessClaims): string {
    const claims = {
      ver: version,
      ...(payeeOfLeg !== undefined && { leg: payeeOfLeg }),
      iss: ISSUER,
      aud: WIDGET_AUDIENCE,
      sub: paymentId,
      iat: Math.floor(issuedAt.getTime() / 1000),
      exp: Number(lastDeadline) + ACCESS_TOKEN_GRACE_SECONDS,
    };
    // Each payment of a page has one: jose's way, through WebCrypto's threads, takes over ten times as long as these 1.5 µs.
    const signed = `${HS256_HEADER}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
    return `${signed}.${createHmac('sha256', this.#current.access).update(signed).digest('base64url')}`;
  }

  /** What the token opens. @throws unauthenticated when it is not a valid access token. */
  async verifyAccessToken(token: string): Promise<OpenedAccess> {
    const payload = await verified(
      token,
      this.#all.map(({ access }) => access),
      {
        algorithms: ['HS256'],
        issuer: ISSUER,
        audience: WIDGET_AUDIENCE,
        requiredClaims: ['sub', 'exp', 'ver'],
      },
    );
    const { sub, ver, leg } = payload;
    return { paymentId: sub as string, version: Number(ver), payeeOfLeg: leg === undefined ? null : Number(leg) };
  }

  /** The client secret of an integration's `version`: derived, so that it can be answered again but need not be kept. */
  clientSecret(integrationId: string, version: number): string {
    return clientSecretOf(this.#current, integrationId, version);
  }

  /** The client secret of that version whose hash is one of these, under whichever master secret it was made. */
  recoverClientSecret(integrationId: string, version: number, hashes: readonly Uint8Array[]): string | null {
    const candidates = this.#all.map((keys) => clientSecretOf(keys, integrationId, version));
    return candidates.find((secret) => hashes.some((hash) => secretMatches(secret, hash))) ?? null;
  }
}

function clientSecretOf({ derive }: Keys, integrationId: string, version: number): string {
  return `dk_${derive(`client-secret ${integrationId} ${version}`, 32).toString('base64url')}`;
}

/** The claims of a token that one of the keys verifies. */
async function verified(token: string, keys: readonly KeyObject[], options: JWTVerifyOptions): Promise<JWTPayload> {
  for (const key of keys) {
    try {
      return (await jwtVerify(token, key, options)).payload;
    } catch (error) {
      // Only a signature can be another key's; whatever else is wrong stays wrong.
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) break;
    }
  }
  throw new CoreError('unauthenticated', 'The token is not valid here, or has expired.');
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
