/**
 * The GatewayClasses that Weft answers to, made when they are missing. Not part of the manifests: nobody can apply an object in
 * one go with the definition of its kind. One of the same name that somebody else made stays as it is.
 */
import { isConflict, isNotFound } from "#client/api-error.ts";
import { own } from "#compile/install/manifest.ts";
import { gatewayClasses, gatewayController } from "#compile/mesh/settings.ts";
import type { Controller } from "#control/control-api.ts";

const KIND_AGAIN_MS = 10_000;

export const ownGatewayClasses: Controller = {
  name: "gateway classes",
  watches: { GatewayClass: ({ metadata }) => (gatewayClasses.has(metadata.name) ? [metadata.name] : []) },
  initially: [...gatewayClasses],
  async reconcile({ world, writer }, name) {
    if (world.get("GatewayClass", name) !== undefined) return;
    try {
      await writer.create("GatewayClass", {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "GatewayClass",
        metadata: own(name),
        spec: { controllerName: gatewayController },
      });
    } catch (error) {
      // The API server does not have the kind yet, which is no trouble of ours.
      if (isNotFound(error)) return { againMs: KIND_AGAIN_MS };
      if (!isConflict(error)) throw error;
    }
  },
};
