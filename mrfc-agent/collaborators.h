// What the procedures of the controller work with.
#pragma once

#include "mikey/exchange.h"
#include "mikey/ticket.h"
#include "mrfc-agent/key_service.h"
#include "mrfc-agent/media_gateway.h"
#include "mrfc-agent/session_policy.h"
#include "mrfc-agent/session_store.h"
#include "mrfc-agent/stream_releases.h"
#include "replay/replay_window.h"

namespace keystub::mrfc {

// All outlive the procedures.
struct Collaborators {
  mikey::Environment env;
  const SessionPolicy& policy;
  KeyService& keys;
  MediaGateway& media;
  replay::ReplayWindow& replay;
  SessionStore& sessions;
  StreamReleases& releases;
  // The TPK of mode 3; null in mode 1.
  const mikey::TicketProtection* self_issue = nullptr;
};

}  // namespace keystub::mrfc
