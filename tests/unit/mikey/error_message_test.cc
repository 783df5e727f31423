// Error messages (RFC 6043 5.4): what they carry, and who believes which.
#include "mikey/error_message.h"

#include <gtest/gtest.h>

#include "mikey/message_builder.h"
#include "tests/unit/mikey/exchanges.h"

namespace keystub::mikey {
namespace {

class ErrorMessages : public Exchanges {
 protected:
  AuthenticatedRequest received(const TicketRequest& request) const {
    return ReceivedRequest::parse(request.message())
        .value()
        .authenticate(alice_.psk, alice_.self, alice_.kms)
        .value();
  }

  TicketRequest request_ = TicketRequest::start(env_, alice_, wish()).value();
  AuthenticatedRequest at_kms_ = received(request_);
};

// [6043-5.4-13]
// [6043-5.4-05] [3830-5.1.2-02]
TEST_F(ErrorMessages, AuthenticatedOneEndsTheRequestWithItsNumber) {
  const ByteVector error = at_kms_.refuse(env_, ErrorNo::invalid_tppar).value();
  EXPECT_TRUE(request_.read_error(error).value().authenticated);
  for (const ErrorsTaken taken : {ErrorsTaken::all, ErrorsTaken::authenticated}) {
    const auto result = request_.finish(error, taken);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().category(), Category::denied);
    EXPECT_EQ(result.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_tppar));
  }
}

// [6043-5.4-09] [6043-5.4-10] [6043-5.4-11]
TEST_F(ErrorMessages, EachHasTheHeaderOfTheMessageInErrorAndAFreshTimestamp) {
  clock_.advance(std::chrono::seconds(2));
  const Header& about = at_kms_.message().header;
  ASSERT_TRUE(about.v_flag);
  for (const ByteVector& error : {at_kms_.refuse(env_, ErrorNo::invalid_id).value(),
                                  build_error(env_, about, ErrorNo::invalid_id).value()}) {
    const Message message = Message::parse(error).value();
    EXPECT_EQ(message.header.data_type, DataType::error);
    EXPECT_EQ(message.header.prf, about.prf);
    EXPECT_EQ(message.header.csb_id, about.csb_id);
    EXPECT_FALSE(message.header.v_flag);
    EXPECT_EQ(message.t->to_wall_time(), clock_.now());
  }
}

// RFC 3830 5.1.2: only a recommendation, and a genuine one becomes one when V is left out.
// [6043-5.4-04] [3830-5.1.2-04] [3830-5.1.2-05]
TEST_F(ErrorMessages, OneWithoutVIsRefusedByACallerThatRequiresV) {
  const ByteVector error = build_error(env_, at_kms_.message().header, ErrorNo::invalid_id).value();
  EXPECT_FALSE(request_.read_error(error).value().authenticated);

  const auto believed = request_.finish(error);
  ASSERT_FALSE(believed.has_value());
  EXPECT_EQ(believed.error().category(), Category::denied);
  EXPECT_NE(believed.error().text().find("recommendation"), std::string::npos);

  const auto refused = request_.finish(error, ErrorsTaken::authenticated);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::unauthenticated);
}

// [6043-5.4-03]
TEST_F(ErrorMessages, OneWhoseMacDoesNotVerifyIsRefusedByEverybody) {
  ByteVector error = at_kms_.refuse(env_, ErrorNo::invalid_tppar).value();
  error.back() ^= 1;
  EXPECT_FALSE(request_.read_error(error).has_value());
  const auto result = request_.finish(error);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().category(), Category::unauthenticated);
  EXPECT_EQ(result.error().place()->message, "Error message");
  EXPECT_EQ(result.error().place()->clause, "RFC 6043 5.4");
}

TEST_F(ErrorMessages, OneAboutAnotherExchangeIsRefused) {
  const TicketRequest other = TicketRequest::start(env_, alice_, wish()).value();
  const auto result =
      request_.read_error(received(other).refuse(env_, ErrorNo::invalid_id).value());
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().category(), Category::malformed);
}

// The auth_key of REQUEST_RESP differs from that of REQUEST_INIT (phase 02 and 01). [6043-5.4-13]
TEST_F(ErrorMessages, OneAboutTheRequestDoesNotPassForOneAboutTheResponse) {
  const ByteVector about_request = at_kms_.refuse(env_, ErrorNo::invalid_id).value();
  const ByteVector about_response = request_.refuse(env_, ErrorNo::invalid_id).value();
  EXPECT_TRUE(at_kms_.read_error(about_response).value().authenticated);
  EXPECT_FALSE(at_kms_.read_error(about_request).has_value());
  EXPECT_FALSE(request_.read_error(about_response).has_value());
}

// The same for the Ticket Resolve. [6043-5.4-13]
TEST_F(ErrorMessages, BothSidesOfATicketResolveRefuseWithAnAuthenticatedOne) {
  const TransferOffer offered = offer(request(wish(), wish()).value());
  const auto transfer = ReceivedTransfer::parse(offered.message()).value();
  const auto resolve = TicketResolve::start(env_, bob_, transfer.ticket()).value();
  const auto received = ReceivedResolve::parse(resolve.message()).value();
  const auto at_kms = received.authenticate(bob_.psk, bob_.self, bob_.kms).value();
  const auto opened = at_kms.open(Tpk(ByteVector(32, 9))).value();

  const ByteVector about_init = at_kms.refuse(env_, ErrorNo::invalid_ticket).value();
  const ByteVector about_resp = resolve.refuse(env_, ErrorNo::invalid_id).value();
  EXPECT_TRUE(resolve.read_error(about_init).value().authenticated);
  EXPECT_TRUE(opened.read_error(about_resp).value().authenticated);
  EXPECT_FALSE(resolve.read_error(about_resp).has_value());
  EXPECT_FALSE(opened.read_error(about_init).has_value());
  const auto ended = resolve.finish(about_init);
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_ticket));
}

// [6043-5.4-08] [4563-5-01]
// [3830-5.1.2-03]
TEST_F(ErrorMessages, SupportedPoliciesGoWithTheGenericIdMap) {
  const SecurityPolicy policy{1, ProtType::srtp, {0, 1, 1}};
  const ByteVector error =
      at_kms_.refuse(env_, {{ErrorNo::invalid_sppar, ErrorNo::unspecified}, {policy}}).value();
  const Message message = Message::parse(error).value();
  EXPECT_EQ(message.header.map_type, CsIdMapType::generic_id);
  EXPECT_EQ(message.header.cs_count, 0);
  const ReceivedError read = request_.read_error(error).value();
  EXPECT_EQ(read.numbers, (std::vector{ErrorNo::invalid_sppar, ErrorNo::unspecified}));
  EXPECT_EQ(read.supported, std::vector{policy});

  const ByteVector without = at_kms_.refuse(env_, ErrorNo::invalid_id).value();
  EXPECT_EQ(Message::parse(without).value().header.map_type, CsIdMapType::empty);
}

// RFC 4563 5, also for a sender that is genuine. [4563-5-01]
TEST_F(ErrorMessages, APolicyWithTheEmptyMapIsNeitherBuiltNorRead) {
  const SecurityPolicy policy{1, ProtType::srtp, {0, 1, 1}};
  const Header& about = at_kms_.message().header;
  const auto begin = [&] {
    MessageBuilder builder(DataType::error, false, about.prf, about.csb_id);
    builder.t(Timestamp::from(clock_.now())).err(ErrorNo::invalid_sppar);
    return builder;
  };
  MessageBuilder typed = begin();
  typed.sp(policy);
  const auto built = std::move(typed).end_without_v();
  ASSERT_FALSE(built.has_value());
  EXPECT_NE(built.error().text().find("RFC 4563 5"), std::string::npos);

  // payload() puts anything anywhere, for messages that have to be refused.
  MessageBuilder any = begin();
  any.payload(policy.view());
  const auto read = request_.read_error(std::move(any).end_without_v().value());
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().place()->payload, "SP");
  EXPECT_EQ(read.error().place()->clause, "RFC 4563 5");
  EXPECT_EQ(read.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_sp));
}

TEST_F(ErrorMessages, OneWithoutANumberIsNeitherBuiltNorRead) {
  EXPECT_FALSE(at_kms_.refuse(env_, {std::vector<ErrorNo>(), {}}).has_value());
  const Header& about = at_kms_.message().header;
  MessageBuilder builder(DataType::error, false, about.prf, about.csb_id);
  builder.t(Timestamp::from(clock_.now()));
  const auto read = request_.read_error(std::move(builder).end_without_v().value());
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().place()->payload, "ERR");
}

// Who is refused for a reason that has no number of its own gets the nearest one.
TEST_F(ErrorMessages, EveryFailureHasANumber) {
  using enum Category;
  EXPECT_EQ(error_no_for(Error(unauthenticated, "")), ErrorNo::auth_failure);
  EXPECT_EQ(error_no_for(Error(expired, "")), ErrorNo::invalid_ts);
  for (const Category other :
       {malformed, denied, not_found, conflict, busy, unavailable, internal}) {
    EXPECT_EQ(error_no_for(Error(other, "")), ErrorNo::unspecified) << category_name(other);
  }
}

// [6043-5.4-06]
TEST_F(ErrorMessages, UnexpectedPayloadsAreIgnored) {
  const Header& about = at_kms_.message().header;
  MessageBuilder builder(DataType::error, true, about.prf, about.csb_id);
  builder.t(Timestamp::from(clock_.now()))
      .idr(IdRole::kms, alice_.kms)
      .err(ErrorNo::invalid_ts)
      .ext(ExtType::vendor_id, {});
  EXPECT_EQ(request_.read_error(std::move(builder).end_without_v().value()).value().numbers,
            std::vector{ErrorNo::invalid_ts});
}

}  // namespace
}  // namespace keystub::mikey
