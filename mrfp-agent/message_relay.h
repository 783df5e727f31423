// MessageRelay: hands MSRP messages on between the legs of a conference, as a back-to-back user
// agent (RFC 4975): a SEND is answered here and sent again on the other leg as that leg's own
// transaction, with its paths, and with the Message-ID, type and octets of the original. Nothing
// is stored: chunks go on as they come. With one leg messages go back to their sender as new ones.
//
// Reports: a failure of the far side is reported to the sender, and a success report is passed on
// when the far side sends one, each only if the sender asked for it (RFC 4975 7.1.3, 7.1.4).
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "msrp/endpoint.h"
#include "service/metrics.h"

namespace keystub::mrfp {

// One leg, as the relay sees it. Called from inside callbacks of other legs' endpoints: both
// notices must only remember what they hear and act later.
class RelayLeg {
 public:
  // Null until the leg is configured.
  virtual msrp::Endpoint* endpoint() = 0;
  // The endpoint has something to write.
  virtual void output_ready() = 0;
  // may_read() may have changed.
  virtual void reading_may_change() = 0;

 protected:
  ~RelayLeg() = default;
};

// Belongs to one loop's thread. Must outlive the endpoints that it listens to.
class MessageRelay {
 public:
  // A leg takes more for sending while less than this waits there, in octets; the legs that feed
  // it are read again when half of it is gone.
  explicit MessageRelay(std::size_t high_water, service::Counter messages = {});
  ~MessageRelay();
  MessageRelay(const MessageRelay&) = delete;
  MessageRelay& operator=(const MessageRelay&) = delete;

  // How the endpoint of each leg must be set up for the relay to work.
  msrp::EndpointSettings endpoint_settings(std::uint64_t max_message_octets) const;

  void add(RelayLeg& leg);
  // What was on its way to the leg is reported as failed, what it had not finished is given up.
  void remove(RelayLeg& leg);
  // The leg gets a new endpoint for another peer: as if it were removed and added.
  void reset(RelayLeg& leg);
  // To be handed to the leg's endpoint.
  msrp::Endpoint::Listener& listener(RelayLeg& leg);

  // Back-pressure: whether the leg's peer may send more now.
  bool may_read(RelayLeg& leg);
  // The leg wrote something to its peer.
  void drained(RelayLeg& leg);

 private:
  struct Transfer;
  struct Leg;

  Leg& state_of(RelayLeg& leg);
  Leg& target_of(Leg& leg);
  msrp::Endpoint::Verdict begin_chunk(Leg& from, const msrp::ReceivedChunk& chunk);
  msrp::Endpoint::Verdict take_data(Leg& from, Bytes data);
  msrp::Endpoint::Verdict end_chunk(Leg& from, msrp::Flag flag);
  msrp::Endpoint::Verdict refuse(Leg& from, std::uint16_t status, std::string comment);
  void forget_oldest(Leg& from);
  void on_send_result(Leg& to, const msrp::SendResult& result);
  void on_report(Leg& to, const msrp::DeliveryReport& report);
  void report(Transfer& transfer, std::uint16_t status, const std::string& comment);
  void give_up(Transfer& transfer);
  void settle(Leg& to, const std::shared_ptr<Transfer>& transfer);
  void notify_sources(Leg& to);

  const std::size_t high_water_;
  service::Counter messages_;
  std::list<std::unique_ptr<Leg>> legs_;
  std::uint64_t chunks_ = 0;  // orders transfers by their last piece
};

}  // namespace keystub::mrfp
