import { business } from "../../metrics.mjs";

export async function POST() {
  business.trackSignup("rider");
  return Response.json({ ok: true });
}
