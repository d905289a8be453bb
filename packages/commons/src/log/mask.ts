/**
 * Masks what names a person or opens a door: telephone numbers, e-mail addresses, national ids, cards, secrets. What
 * is masked cannot be masked again, so that a line may pass here twice.
 */
import { IncomingMessage, ServerResponse } from "node:http";
import { stdSerializers } from "pino";

/** What stands for a secret. */
export const REDACTED = "[redacted]";

/** Objects deeper or longer than this are cut: a log line is no place for them. */
const MAX_DEPTH = 8;
const MAX_ITEMS = 1_000;
const MAX_TEXT = 16_384;

/** Passes over the lines, nearly all, that hold nothing to mask. */
const SUSPECT = /@|\d(?:[ .-]?\d){7}|eyJ|bearer|basic/i;

const TOKEN = /\beyJ[\w-]{4,}\.[\w-]{2,}(?:\.[\w-]*)?/g;
const AUTHORIZATION = /\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi;
/** Signs that are rare in addresses and common around them (`=`, `/`, `?`, `{`) end one. */
const EMAIL = /(?:[\w.%+!#$^~*-]{1,64}|(?<=\S))@[\w-]{1,63}(?:\.[\w-]{1,63})+/g;
/** The user and password of an address such as that of a database. */
const URL_CREDENTIALS = /:\/\/[^\s/@]{1,256}@/g;
/** Digits in groups that may hold a card's number, and other numbers beside it. */
const DIGITS = /(?<![\w.])\d(?:[ -]?\d){12,39}(?!\w)/g;
/** Rwanda: kind, year of birth, sex, number, issue, check digits; 16 in all. */
const NATIONAL_ID = /(?<![\w.])[1-3][ -]?(?:19|20)\d{2}[ -]?[78][ -]?\d{7}[ -]?\d[ -]?\d{2}(?!\w)/g;
/** In international form, of anywhere. */
const PHONE = /(?<!\w)(?:\+|%2B|00)(?=[1-9])\d(?:[ .-]?\d){7,14}(?!\w)/gi;
/** As Rwanda and its neighbours write them without `+`, or at home. */
const LOCAL_PHONE = /(?<![\w.])(?:25[0-7][ -]?[167]|243[ -]?[189]|07)\d(?:[ -]?\d){7}(?!\w)/g;

/** Masks all that looks like a person's within a text. Longer texts are cut. */
export function maskText(text: string): string {
  const short = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  if (!SUSPECT.test(short)) return short;
  return short
    .replace(TOKEN, REDACTED)
    .replace(AUTHORIZATION, `$1 ${REDACTED}`)
    .replace(URL_CREDENTIALS, "://***@")
    .replace(EMAIL, maskEmail)
    .replace(NATIONAL_ID, maskId)
    .replace(DIGITS, maskCards)
    .replace(PHONE, maskPhone)
    .replace(LOCAL_PHONE, maskPhone);
}

/** `+250788123456` becomes `+2507******56`. */
export function maskPhone(phone: string): string {
  if (isMasked(phone)) return phone;
  const international = /^\s*(?:\+|%2B|00)/i.test(phone);
  const all = digits(phone.replace(/^\s*(?:%2B|00)/i, ""));
  if (all.length < 7) return "******";
  const head = all.startsWith("0") ? all.slice(0, 2) : all.slice(0, 4);
  return `${international ? "+" : ""}${head}******${all.slice(-2)}`;
}

/** `jeanne@example.rw` becomes `j***@example.rw`. */
export function maskEmail(email: string): string {
  const at = email.lastIndexOf("@");
  if (at < 0) return "***";
  return `${at === 0 || email.startsWith("*") ? "" : email.slice(0, 1)}***${email.slice(at)}`;
}

/** `4111 1111 1111 1111` becomes `****1111`. */
export function maskCard(card: string): string {
  return isMasked(card) ? card : `****${digits(card).slice(-4)}`;
}

/** Masks the number of 13 to 19 digits, in whole groups, whose check digit is right; nothing if there is none. */
function maskCards(found: string): string {
  for (let from = 0; from < found.length; from++) {
    if (!/[2-6]/.test(found[from] ?? "") || /\d/.test(found[from - 1] ?? "")) continue;
    for (let to = found.length; to >= from + 13; to--) {
      const part = found.slice(from, to);
      const number = digits(part);
      if (number.length < 13 || number.length > 19) continue;
      const whole = /\d$/.test(part) && !/\d/.test(found[to] ?? "");
      if (whole && luhn(number)) return found.slice(0, from) + maskCard(part) + found.slice(to);
    }
  }
  return found;
}

/** `1199280012345678` becomes `1***********78`. */
export function maskId(id: string): string {
  if (isMasked(id)) return id;
  const all = id.replace(/[\s-]/g, "");
  return all.length < 6 ? "****" : `${all.slice(0, 1)}***********${all.slice(-2)}`;
}

const isMasked = (text: string): boolean => /^\+?\w{0,4}\*{4,11}\w{0,4}$/.test(text);
const digits = (text: string): string => text.replace(/\D/g, "");

/** The check digit of cards (ISO/IEC 7812-1, annex B). */
function luhn(number: string): boolean {
  let sum = 0;
  for (let at = 0; at < number.length; at++) {
    const digit = Number(number[number.length - 1 - at]);
    const twice = digit * 2;
    sum += at % 2 === 0 ? digit : twice > 9 ? twice - 9 : twice;
  }
  return sum % 10 === 0;
}

type Masker = (value: string) => string;

const secret: Masker = () => REDACTED;
const email: Masker = (value) => (/^.?\*\*\*(@|$)/.test(value) ? value : maskEmail(value));

/** Fields that say by their name what they hold; names are compared without case, `_`, `-` and spaces. */
const BY_NAME: readonly (readonly [RegExp, Masker])[] = [
  [/(?:password|passwd|passphrase|secret|token|apikey|authorization|cookie|privatekey|credentials?)$/, secret],
  [/^(?:pin|pincode|otp|cvv|cvc|cvv2)$/, secret],
  [/(?:phone|phonenumber|msisdn|mobile|mobilenumber|telephone|whatsappnumber|waid)$/, maskPhone],
  [/e?mail(?:address)?$/, email],
  [/(?:nationalid|idnumber|idcard|passport|passportnumber|passportno|drivinglicen[cs]e|taxid)$/, maskId],
  [/^(?:nid|tin)$/, maskId],
  [/(?:cardnumber|cardno|creditcard)$|^pan$/, maskCard],
];

const maskers = new Map<string, Masker | null>();

/** The masker of fields of this name; remembered, since services log the same few names. */
function maskerOf(name: string): Masker | null {
  const known = maskers.get(name);
  if (known !== undefined) return known;
  const plain = name.toLowerCase().replace(/[_\-\s]/g, "");
  const found = BY_NAME.find(([pattern]) => pattern.test(plain))?.[1] ?? null;
  if (maskers.size < MAX_ITEMS) maskers.set(name, found);
  return found;
}

/** A copy of `value` as JSON would have it, in which all that is a person's or secret is masked. */
export function maskPii(value: unknown): unknown {
  return masked(value, 0, []);
}

/** The fields of `fields`, masked. */
export function maskFields(fields: object): Record<string, unknown> {
  return maskedFields(fields, 0, [fields]);
}

function masked(value: unknown, depth: number, above: readonly object[]): unknown {
  if (typeof value === "string") return maskText(value);
  if (typeof value === "number") return maskedNumber(value);
  if (typeof value === "bigint") return maskText(value.toString());
  if (typeof value !== "object" || value === null) return value;
  if (above.includes(value)) return "[circular]";
  if (depth >= MAX_DEPTH) return "[deep]";
  const within = [...above, value];
  if (Array.isArray(value)) {
    return value.slice(0, MAX_ITEMS).map((item: unknown) => masked(item, depth + 1, within));
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Error) return maskedFields(stdSerializers.err(value), depth, within);
  if (value instanceof IncomingMessage) return maskedFields(stdSerializers.req(value), depth, within);
  if (value instanceof ServerResponse) return maskedFields(stdSerializers.res(value), depth, within);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Map) return maskedFields(Object.fromEntries(value), depth, within);
  if (value instanceof Set) return masked([...value], depth, above);
  if ("toJSON" in value && typeof value.toJSON === "function") {
    return masked(read(() => (value.toJSON as () => unknown)()), depth + 1, within);
  }
  return maskedFields(value, depth, within);
}

function maskedFields(object: object, depth: number, within: readonly object[]): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const name of Object.keys(object).slice(0, MAX_ITEMS)) {
    const value = read(() => (object as Record<string, unknown>)[name]);
    const masker = maskerOf(name);
    const simple = typeof value === "string" || typeof value === "number" || typeof value === "bigint";
    if (masker !== null && simple) out[name] = masker(String(value));
    else if (masker === secret && value != null) out[name] = REDACTED;
    else out[name] = masked(value, depth + 1, within);
  }
  return out;
}

/** Objects may run code when they are read; what fails there costs a field, never the line. */
function read(value: () => unknown): unknown {
  try {
    return value();
  } catch {
    return "[unreadable]";
  }
}

/** Numbers are amounts and times nearly always; only what cannot be one of these is taken for a telephone. */
function maskedNumber(value: number): number | string {
  return Number.isInteger(value) && /^2507[2389]\d{7}$/.test(String(value)) ? maskPhone(String(value)) : value;
}
