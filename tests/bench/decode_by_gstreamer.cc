// GStreamer reads the message of mikey_decode.h.
#include <gst/gst.h>
#include <gst/sdp/gstmikey.h>

#include "tests/bench/field_sum.h"
#include "tests/bench/mikey_decode.h"

namespace keystub::bench {
namespace {

void add(FieldSum& sum, const GstMIKEYPayloadKeyData& data) {
  sum.number(data.key_type);
  sum.octets({data.key_data, data.key_len});
  sum.octets({data.salt_data, data.salt_len});
  sum.number(data.kv_type);
  sum.octets({data.kv_data[0], data.kv_len[0]});
}

void add(FieldSum& sum, const GstMIKEYPayload* payload) {
  sum.number(payload->type);
  switch (payload->type) {
    case GST_MIKEY_PT_T: {
      const auto* t = reinterpret_cast<const GstMIKEYPayloadT*>(payload);
      sum.number(t->type);
      sum.number(GST_READ_UINT64_BE(t->ts_value));
      break;
    }
    case GST_MIKEY_PT_RAND: {
      const auto* rand = reinterpret_cast<const GstMIKEYPayloadRAND*>(payload);
      sum.octets({rand->rand, rand->len});
      break;
    }
    case GST_MIKEY_PT_SP: {
      const auto* sp = reinterpret_cast<const GstMIKEYPayloadSP*>(payload);
      sum.number(sp->policy);
      sum.number(sp->proto);
      for (guint i = 0; i < gst_mikey_payload_sp_get_n_params(payload); ++i) {
        const GstMIKEYPayloadSPParam* parameter = gst_mikey_payload_sp_get_param(payload, i);
        sum.number(parameter->type);
        sum.octets({parameter->val, parameter->len});
      }
      break;
    }
    case GST_MIKEY_PT_KEMAC: {
      const auto* kemac = reinterpret_cast<const GstMIKEYPayloadKEMAC*>(payload);
      sum.number(kemac->enc_alg);
      sum.number(kemac->mac_alg);
      for (guint i = 0; i < gst_mikey_payload_kemac_get_n_sub(payload); ++i) {
        add(sum, *reinterpret_cast<const GstMIKEYPayloadKeyData*>(
                     gst_mikey_payload_kemac_get_sub(payload, i)));
      }
      break;
    }
    default: break;
  }
}

}  // namespace

GStreamerDecoder::GStreamerDecoder(Bytes message)
    : message_(g_bytes_new_static(message.data(), message.size()), g_bytes_unref) {}

std::uint64_t GStreamerDecoder::sum() const {
  GstMIKEYMessage* message = gst_mikey_message_new_from_bytes(message_.get(), nullptr, nullptr);
  if (message == nullptr) return 0;
  FieldSum sum;
  sum.number(message->type);
  sum.number(message->CSB_id);
  for (guint i = 0; i < gst_mikey_message_get_n_cs(message); ++i) {
    const GstMIKEYMapSRTP* session = gst_mikey_message_get_cs_srtp(message, i);
    sum.number(session->policy);
    sum.number(session->ssrc);
    sum.number(session->roc);
  }
  for (guint i = 0; i < gst_mikey_message_get_n_payloads(message); ++i) {
    add(sum, gst_mikey_message_get_payload(message, i));
  }
  gst_mikey_message_unref(message);
  return sum.sum();
}

}  // namespace keystub::bench
