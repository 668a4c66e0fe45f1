//! Both sides of HPACK against the specification's examples and against each other.

use proptest::prelude::*;

use super::table::ENTRY;
use super::*;
use crate::http1::FieldId;

type Fields = Vec<(String, String)>;

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, HpackError> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    decoder.decode(block, |name, value| fields.push((text(name), text(value))))?;
    Ok(fields)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|one| !one.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// `name: value` in lines.
fn fields(lines: &[&str]) -> Fields {
    let lines = lines.iter().map(|line| line.split_once(": ").unwrap());
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    lines.map(owned).collect()
}

/// Blocks of one connection: their bytes, what they say, and how large the table is behind them.
fn check(table_size: usize, blocks: &[(&str, &[&str], usize)]) {
    let mut decoder = Decoder::new(TABLE_BYTES);
    // As if said in a SETTINGS frame, long ago.
    let mut resize = Vec::new();
    integer::write(0x20, 5, table_size, &mut resize);
    assert_eq!(decoded(&mut decoder, &resize), Ok(vec![]));
    for (hex, lines, size) in blocks {
        assert_eq!(
            decoded(&mut decoder, &bytes(hex)),
            Ok(fields(lines)),
            "{hex}"
        );
        assert_eq!(decoder.table().size(), *size, "{hex}");
    }
}

/// RFC 7541, appendix C.2.
#[test]
fn each_representation_of_the_specification_is_read() {
    for (hex, line, size) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
            55,
        ),
        (
            "040c 2f73 616d 706c 652f 7061 7468",
            ":path: /sample/path",
            0,
        ),
        (
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            "password: secret",
            0,
        ),
        ("82", ":method: GET", 0),
    ] {
        let mut decoder = Decoder::default();
        assert_eq!(decoded(&mut decoder, &bytes(hex)), Ok(fields(&[line])));
        assert_eq!(decoder.table().size(), size);
    }
}

/// RFC 7541, appendices C.3 and C.4: the same requests without and with Huffman's code.
#[test]
fn requests_of_the_specification_are_read() {
    let get = ":method: GET";
    let host = ":authority: www.example.com";
    let first: &[&str] = &[get, ":scheme: http", ":path: /", host];
    let second: &[&str] = &[
        get,
        ":scheme: http",
        ":path: /",
        host,
        "cache-control: no-cache",
    ];
    let custom = "custom-key: custom-value";
    let third: &[&str] = &[get, ":scheme: https", ":path: /index.html", host, custom];
    for hex in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let [one, two, three] = hex;
        check(
            4096,
            &[(one, first, 57), (two, second, 110), (three, third, 164)],
        );
    }
}

/// RFC 7541, appendices C.5 and C.6: the same responses without and with Huffman's code, and a table in
/// which not all of it has room.
#[test]
fn responses_of_the_specification_are_read() {
    let date = |second| format!("date: Mon, 21 Oct 2013 20:13:{second} GMT");
    let (early, late) = (date(21), date(22));
    let location = "location: https://www.example.com";
    let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let private = "cache-control: private";
    let first: &[&str] = &[":status: 302", private, &early, location];
    let second: &[&str] = &[":status: 307", private, &early, location];
    let third: &[&str] = &[
        ":status: 200",
        private,
        &late,
        location,
        "content-encoding: gzip",
        cookie,
    ];
    for hex in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133
             3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a
             6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d
             6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d
             29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d
             d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106
             3d50 07",
        ],
    ] {
        let [one, two, three] = hex;
        check(256, &[(one, first, 222), (two, second, 222), (three, third, 215)]);
    }
}

#[test]
fn what_is_no_block_is_an_error() {
    use HpackError::{Huffman, Index, Integer, Resize, Truncated};
    for (hex, error) in [
        ("80", Index),
        ("be", Index),
        ("ff80 8001", Index),
        ("7e00", Index),
        ("0f2f 00", Index),
        ("ffff ffff ffff", Integer),
        ("41ff ffff ffff ff", Integer),
        ("ff", Truncated),
        ("41", Truncated),
        ("4103 6162", Truncated),
        ("4003 6162 63", Truncated),
        ("0000", Truncated),
        ("4181 06", Huffman),
        ("4184 ffff ffff", Huffman),
        // Beyond what we allow, and behind a field.
        ("3fe2 1f", Resize),
        ("8220", Resize),
    ] {
        assert_eq!(
            decoded(&mut Decoder::default(), &bytes(hex)),
            Err(error),
            "{hex}"
        );
    }
    // The largest that we allow; two in a row; an empty block.
    for hex in ["3fe1 1f82", "203f e11f 82", ""] {
        let read = decoded(&mut Decoder::default(), &bytes(hex));
        assert_eq!(
            read.map(|fields| fields.len()),
            Ok(usize::from(!hex.is_empty()))
        );
    }
}

fn encoded(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        encoder.field(name.as_bytes(), value.as_bytes(), &mut out);
    }
    out
}

#[test]
fn what_repeats_is_sent_in_one_byte() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::default());
    let call = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "greeter:50051"),
        (":path", "/greeter.Greeter/Hello"),
        ("content-type", "application/grpc"),
        ("User-Agent", "grpc-go/1.70"),
        ("te", "trailers"),
        ("grpc-status", "0"),
    ];
    let wanted: Fields = call
        .iter()
        .map(|(name, value)| (name.to_lowercase(), (*value).into()))
        .collect();
    let lengths = [(); 4].map(|()| {
        let block = encoded(&mut encoder, &call);
        assert_eq!(decoded(&mut decoder, &block).as_ref(), Ok(&wanted));
        block.len()
    });
    assert!(lengths[0] > 60);
    assert_eq!(lengths[2..], [call.len(), call.len()], "{lengths:?}");
}

#[test]
fn secrets_and_what_changes_stay_out_of_the_table() {
    let mut encoder = Encoder::new();
    for (name, value, first) in [
        ("authorization", "Bearer abc", 0x1f),
        ("cookie", "a=1", 0x1f),
        ("set-cookie", "a=1", 0x1f),
        ("x-api-key", "abc", 0x10),
        (":path", "/search?q=secret", 0x04),
        ("content-length", "17", 0x0f),
        ("grpc-timeout", "1S", 0x00),
        ("x-request-id", "1", 0x00),
    ] {
        for _ in 0..3 {
            let block = encoded(&mut encoder, &[(name, value)]);
            assert_eq!(block.first(), Some(&first), "{name}");
        }
    }
    assert_eq!(encoder.table().size(), 0);
}

#[test]
fn names_are_written_in_lower_case() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::default());
    let mut block = encoded(&mut encoder, &[("X-Other", "A"), ("Content-Type", "B")]);
    encoder.field_as(FieldId::UserAgent, b"User-Agent", b"C", &mut block);
    encoder.field_as(FieldId::Other, b"X-More", b"D", &mut block);
    let wanted = fields(&[
        "x-other: A",
        "content-type: B",
        "user-agent: C",
        "x-more: D",
    ]);
    assert_eq!(decoded(&mut decoder, &block), Ok(wanted));
}

#[test]
fn a_smaller_table_is_told_of_at_the_next_block() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::default());
    let server = [("server", "ringgate")];
    for _ in 0..3 {
        let block = encoded(&mut encoder, &server);
        assert!(decoded(&mut decoder, &block).is_ok());
    }
    encoder.set_table_size(1 << 20);
    assert_eq!(
        encoded(&mut encoder, &server),
        [0x80 | 62],
        "we use no more"
    );
    encoder.set_table_size(0);
    encoder.set_table_size(100);
    let block = encoded(&mut encoder, &server);
    assert_eq!(block.get(..3), Some(&[0x20, 0x3f, 69][..]));
    assert_eq!(
        decoded(&mut decoder, &block),
        Ok(fields(&["server: ringgate"]))
    );
    assert_eq!(decoder.table().limit(), 100);
    assert!(encoder.table().size() <= 100);
}

/// Few names and values, so that they repeat, and some large ones, so that entries have to go.
fn field() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        Just(":path"),
        Just("content-type"),
        Just("Server"),
        Just("vary"),
        Just("via"),
        Just("x-unknown"),
        Just("authorization"),
        Just(":status"),
    ];
    let value = prop_oneof![
        (0_u32..12).prop_map(|value| value.to_string()),
        Just("200".to_owned()),
        (0_usize..6).prop_map(|kind| "v".repeat(kind * 300)),
    ];
    (name.prop_map(str::to_owned), value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_is_decoded(
        blocks in prop::collection::vec(
            (prop::collection::vec(field(), 0..30), prop::option::weighted(0.2, 0_u32..6_000)),
            0..60,
        ),
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::default());
        for (fields, resize) in blocks {
            if let Some(size) = resize {
                encoder.set_table_size(size);
            }
            let mut block = Vec::new();
            for (name, value) in &fields {
                encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
            }
            let lower: Fields = fields.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
            prop_assert_eq!(decoded(&mut decoder, &block), Ok(lower));
            if !fields.is_empty() {
                prop_assert_eq!(decoder.table().size(), encoder.table().size());
                prop_assert_eq!(decoder.table().limit(), encoder.table().limit());
            }
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused_in_bounded_memory(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..40),
    ) {
        let mut decoder = Decoder::default();
        for block in blocks {
            let _ = decoded(&mut decoder, &block);
            prop_assert!(decoder.table().size() <= TABLE_BYTES as usize);
            prop_assert!(decoder.memory() < 24 << 10, "{}", decoder.memory());
        }
    }

    /// Blocks of whole representations, so that more of them are good.
    #[test]
    fn any_fields_are_decoded_in_bounded_memory(
        fields in prop::collection::vec(
            (0_u8..4, prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..3_000)),
            0..200,
        ),
    ) {
        let mut decoder = Decoder::default();
        for (kind, name, value) in fields {
            let mut block = vec![if kind < 3 { 0x40 } else { 0 }];
            let coded = huffman::tests::encode(&name);
            integer::write(0x80, 7, coded.len(), &mut block);
            block.extend(coded);
            integer::write(0, 7, value.len(), &mut block);
            block.extend(&value);
            let mut got = Vec::new();
            let read = decoder.decode(&block, |name, value| got.push((name.to_vec(), value.to_vec())));
            prop_assert_eq!(read, Ok(()));
            let size = name.len() + value.len() + ENTRY;
            prop_assert_eq!(got, vec![(name, value)]);
            prop_assert!(kind == 3 || decoder.table().size() >= size);
            prop_assert!(decoder.memory() < 24 << 10, "{}", decoder.memory());
        }
    }
}
