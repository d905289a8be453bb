import { metricsRoute } from "@easymo/commons";
import { metrics } from "../../../metrics.mjs";

export const dynamic = "force-dynamic";
export const GET = metricsRoute(metrics);
