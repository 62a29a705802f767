// Owns the versions of the API and how a part of it ends: a version is a date, every answer names its own, a request may pin
// one; what is deprecated says so in its answers (RFC 9745) with the day on which it is gone (RFC 8594).
import type { MiddlewareHandler } from 'hono';
import { CoreError } from './core/errors.ts';

/** The header that pins a version, and that each answer carries. */
export const VERSION_HEADER = 'Dealkeep-Version';

/** Every version that may be pinned, newest first. A change that could break a client adds one; an addition does not. */
export const versions = ['2026-11-25'] as const;

/** Names the version in each answer. @throws invalid_request for one that there is not. */
export function apiVersion(): MiddlewareHandler {
  const [newest] = versions;
  return async (c, next) => {
    const pinned = c.req.header(VERSION_HEADER);
    c.header(VERSION_HEADER, newest);
    if (pinned !== undefined) {
      const version = versions.find((candidate) => candidate === pinned);
      if (!version) {
        const message = `must be one of ${versions.join(', ')}`;
        throw new CoreError('invalid_request', `There is no such version: ${VERSION_HEADER} ${message}.`, [
          { pointer: `/${VERSION_HEADER}`, message },
        ]);
      }
      c.header(VERSION_HEADER, version);
    }
    await next();
  };
}

/** When something was deprecated, when it will be gone at the earliest, and what stands in its place. */
export type Deprecation = { since: Date; sunset: Date; successor?: string };

/** Says in each answer of a route that it is deprecated; to be used with `deprecated: true` in the route's document. */
export function deprecated({ since, sunset, successor }: Deprecation): MiddlewareHandler {
  return async (c, next) => {
    // A structured-field date: seconds since 1970.
    c.header('Deprecation', `@${Math.floor(since.getTime() / 1000)}`);
    c.header('Sunset', sunset.toUTCString());
    if (successor !== undefined) c.header('Link', `<${successor}>; rel="successor-version"`);
    await next();
  };
}
