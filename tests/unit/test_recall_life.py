"""What daily use does to a memory: the same questions again and again, and facts that change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.recall import Recall
from recallr_litellm.stores.embedding import SparseEncoder
from tests.benchmarks.conversations import Conversation, Said, Spoken, remember
from tests.benchmarks.material import opened

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST = datetime(2026, 1, 5, 9, tzinfo=UTC)
FACTS = (
    "My dog is called Biscuit.",
    "My car is a blue Mazda.",
    "I planted tomatoes on the balcony.",
    "My sister Mia is learning the piano.",
    "I have a physics exam on Thursday.",
    "Biscuit sleeps on the sofa.",
)
WORDINGS = (
    "What is my dog called?",
    "what's my dog's name",
    "Do you remember how my dog is called?",
    "Tell me the name of my dog.",
    "I forgot what my dog is called.",
    "Which name did I give my dog?",
    "Can you remind me what my dog is called?",
    "So what is the dog's name again?",
    "Do I have a dog, and what is it called?",
    "My dog's name, please?",
    "How do I call my dog?",
    "who is my dog",
    "Remind me how my dog is called",
    "What was the name of that dog of mine?",
)
UNKNOWING = ("I am not sure.", "I don't have any information about your dog. Could you tell me its name?")


class Life:
    def __init__(self, recall: Recall, vectors: object, embedder: object, sparse: SparseEncoder) -> None:
        self._recall = recall
        self._stores = (vectors, embedder, sparse)
        self._lives = 0

    async def __call__(self, sessions: Sequence[Sequence[str]], question: str, k: int) -> Recalled:
        """What is recalled of a life: sessions a day apart, user and assistant in turn."""
        self._lives += 1
        spoken = tuple(
            Spoken(
                f"s{day}",
                FIRST + timedelta(days=day),
                tuple(Said(f"s{day}:{n}", "assistant" if n % 2 else "user", text) for n, text in enumerate(texts)),
            )
            for day, texts in enumerate(sessions)
        )
        life = Conversation(f"life {self._lives}", spoken, ())
        await remember(life, *self._stores)  # type: ignore[arg-type]
        options = replace(RecallOptions(), min_top_k=k, max_top_k=k)
        return await self._recall(life.owner, question, options, exclude_sessions=frozenset(), now=life.asked_at)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lived(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Life]:
    vectors, embedder = await opened(tmp_path_factory.mktemp("data"))
    sparse = SparseEncoder()
    yield Life(Recall(vectors, embedder, sparse), vectors, embedder, sparse)
    await vectors.close()
    await embedder.close()


def texts(found: Recalled) -> list[str]:
    return [passage.text for passage in found.passages]


async def test_however_often_it_is_asked_every_statement_stays_among_the_best(lived: Life) -> None:
    facts = [[fact] for fact in FACTS]
    for k in (1, 3, 10):
        alone = texts(await lived(facts, WORDINGS[0], k))
        assert alone[0] == FACTS[0]
        for times in (6, 14, 100):
            asked = [[WORDINGS[n % 14], UNKNOWING[n % 2]] for n in range(times)]
            shown = texts(await lived([*facts, *asked], WORDINGS[0], k))
            assert shown[: len(alone)] == alone, f"{times} questions, {k} places"
            assert len(shown) <= max(k, len(alone))


async def test_a_fact_outlives_its_right_answers(lived: Life) -> None:
    asked = [[WORDINGS[0], "Your dog is called Biscuit."] for _ in range(120)]
    found = await lived([[fact] for fact in FACTS] + asked, WORDINGS[0], 3)
    assert FACTS[0] in texts(found)
    assert len({summary.summary for summary in found.summaries}) == len(found.summaries)


async def test_a_change_is_of_what_it_is_nearest_to(lived: Life) -> None:
    said = ["Production runs Postgres 15.", "Staging runs Postgres 14.", "We upgraded staging, it runs Postgres 17."]
    life = [*([one] for one in said), *([fact] for fact in FACTS)]
    assert texts(await lived(life, "Which Postgres does production run?", 1)) == said[:1]
    assert texts(await lived(life, "Which Postgres does staging run?", 1)) == said[2:]


async def test_who_asks_for_a_time_hears_what_was_so_then(lived: Life) -> None:
    life = [["I weigh 84 kilos."], *([fact] for fact in FACTS * 6), ["I'm down to 79 kilos."]]
    assert texts(await lived(life, "What did I weigh in January?", 1)) == ["I weigh 84 kilos."]
    assert texts(await lived(life, "How much do I weigh?", 1)) == ["I'm down to 79 kilos."]


async def test_what_is_known_of_somebody_stands_before_not_knowing_her(lived: Life) -> None:
    asked = ["Do you remember anything about Heidi?", "I do not know anything about Heidi."]
    found = await lived([["Heidi works as a midwife."], asked], "What is Heidi's job?", 2)
    assert texts(found)[0] == "Heidi works as a midwife."
    assert found.passages[0].at == int(FIRST.timestamp() * 1000), "it was not said when it was said"


async def test_a_question_that_is_shown_has_its_answer_beside_it(lived: Life) -> None:
    found = await lived(
        [["Where can I park near the opera?", "In the garage under the market hall, it is open all night."]],
        "What did I ask you about parking?",
        1,
    )
    [question] = found.passages
    assert question.text.startswith("Where can I park")
    assert question.beside is not None
    assert question.beside.text.startswith("In the garage")


MOVES = [f"I moved to {city}." for city in ("Lisbon", "Porto", "Madrid", "Berlin", "Vienna")]
SUSHI = [
    "I love sushi.",
    "I really love sushi.",
    "We had sushi, I love it.",
    "I love sushi so much.",
    "Sushi, I love it!",
]
CHANGES = [
    (MOVES, "Where do I live?"),
    (MOVES, "Where do I live now?"),
    (
        ["SSH on the build server listens on port 22.", "After the audit I moved it over there to 49222."],
        "Which port does SSH on the build server listen on?",
    ),
    ([*SUSHI, "I no longer eat fish."], "Could I eat sushi tonight?"),
    (["My rent is 900 euros.", "My rent went up to 1,050 euros."], "How much is my rent?"),
    (["My dentist is Dr Weber.", "I changed dentists, I go to Dr Sanchez."], "Who is my dentist?"),
    (["The wifi password is sunflower12.", "I changed it to moonlight77."], "What is the wifi password?"),
    (["We are going to Japan in May.", "The Japan trip fell through."], "Am I going to Japan?"),
    (["I live in Ghent, behind the cathedral.", "We moved to Utrecht, boxes everywhere!"], "Where do I live?"),
    (["I'm working for Orbix as a tester.", "They let me go today, Orbix is history."], "Do I work for Orbix?"),
    (["I love a good steak, medium rare.", "I've gone vegan and feel great."], "Would I like a steak?"),
    (["My dad's birthday is on 4 May.", "Sorry, I was wrong: dad's birthday is on 5 May."], "When is dad's birthday?"),
    (["Meine Handynummer ist 0151 4477.", "Ich habe eine neue Handynummer: 0176 9021."], "Wie ist meine Handynummer?"),
    (["My dentist is Dr Becker.", "I meant Dr Bekker, with two k, not Becker."], "What's my dentist called?"),
]


@pytest.mark.parametrize(("said", "question"), CHANGES)
@pytest.mark.parametrize("k", [1, 3, 10])
async def test_what_was_said_last_is_shown_whenever_what_it_replaces_is(
    lived: Life, said: list[str], question: str, k: int
) -> None:
    others = [[fact] for fact in FACTS]
    found = await lived([*others[:3], *([one] for one in said), *others[3:]], question, k)
    assert texts(found)[0] == said[-1]
    newest = [passage.text for passage in found.passages if passage.newest]
    assert newest == [said[-1]]
    assert set(texts(found)) > {said[-1]} or k == 1


@pytest.mark.parametrize(
    ("older", "newer", "question"),
    [
        ("I love sushi.", "I love hiking.", "Which food do I love?"),
        ("I moved to Lisbon.", "My parents moved to Faro.", "Where do I live?"),
        ("I play tennis on Tuesdays.", "I stopped eating sugar.", "When do I play tennis?"),
        ("The staging server listens on 8080.", "The mail server listens on 2525.", "Which port does staging use?"),
        ("I bought a red bicycle.", "I sold my old piano.", "What colour is my bicycle?"),
        (
            "I'm a junior designer at Fennel & Co.",
            "The Fennel & Co logo is in the footer.",
            "What's my position at Fennel & Co?",
        ),
        ("I live in Galway.", "We moved our savings to another bank.", "Where do I live?"),
        ("Project Heron is due in June.", "Project Osprey is due in August.", "When is project Heron due?"),
        ("Mi hermana vive en Sevilla.", "El alquiler ahora es de 760 euros.", "¿Dónde vive mi hermana?"),
    ],
)
async def test_what_is_about_something_else_replaces_nothing(
    lived: Life, older: str, newer: str, question: str
) -> None:
    found = await lived([[older], *([fact] for fact in FACTS), [newer]], question, 1)
    assert texts(found) == [older]


CHINESE = (
    "我对花生过敏，尤其是花生酱。",
    "我的狗叫豆豆，今年三岁。",
    "我住在上海浦东，离地铁站很近。",
    "我不喜欢吃辣的菜。",
)
JAPANESE = ("毎朝六時に犬の散歩をします。", "猫の名前はタマです。", "娘はピアノを習っています。", "夫は医者です。")
HINDI = ("मुझे मूंगफली से एलर्जी है।", "मेरे कुत्ते का नाम शेरू है।", "मैं दिल्ली में रहता हूँ।", "मेरी बहन डॉक्टर है।")
KOREAN = ("저는 땅콩 알레르기가 있어요.", "우리 강아지 이름은 초코예요.", "저는 부산에 살아요.", "언니는 의사예요.")
ARABIC = ("لدي حساسية من الفول السوداني.", "اسم كلبي هو ركس.", "أعيش في القاهرة بالقرب من النهر.", "أختي طبيبة.")
THAI = ("ฉันแพ้ถั่วลิสงและเนยถั่ว", "หมาของฉันชื่อโบ้", "ฉันอยู่ที่กรุงเทพ", "พี่สาวของฉันเป็นหมอ")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("我对什么过敏？", CHINESE[0]),
        ("我的狗叫什么？", CHINESE[1]),
        ("何時に犬の散歩をしますか？", JAPANESE[0]),
        ("猫の名前は何ですか？", JAPANESE[1]),
        ("मुझे किससे एलर्जी है?", HINDI[0]),
        ("मेरे कुत्ते का नाम क्या है?", HINDI[1]),
        ("我住在哪里？", CHINESE[2]),
        ("ฉันแพ้อะไร", THAI[0]),
        ("우리 강아지 이름이 뭐예요?", KOREAN[1]),
        ("ما اسم كلبي؟", ARABIC[1]),
    ],
)
async def test_words_of_scripts_without_spaces_or_with_vowel_signs_are_found(
    lived: Life, question: str, answer: str
) -> None:
    said = [
        [text] for of_all in zip(FACTS, CHINESE, JAPANESE, HINDI, THAI, KOREAN, ARABIC, strict=False) for text in of_all
    ]
    found = await lived(said, question, 20)
    assert texts(found)[0] == answer
    sure = [passage.text for passage in found.passages if passage.relevance > 0.95]
    assert len(sure) <= 3, "what only shares the script is no answer"


async def test_a_blob_hides_nothing_of_what_is_said_around_it_and_is_not_shown(lived: Life) -> None:
    blob = "".join(
        chr(65 + (n * n * 31 + n * 7) % 26) + chr(97 + n * 11 % 26) + str(n * 13 % 10) for n in range(30_000)
    )
    wedding = f"Here is our logo data:image/png;base64,{blob}. By the way, our wedding day is 14 June."
    found = await lived([[fact] for fact in FACTS] + [[wedding]], "When is our wedding day?", 1)
    [passage] = found.passages
    assert "14 June" in passage.text
    assert blob[:40] not in passage.text


async def test_the_end_of_a_long_paste_is_found(lived: Life) -> None:
    clauses = "\n".join(
        f"Clause {n}: the tenant of flat {n} pays the rent by the third of the month." for n in range(1_000)
    )
    paste = f"{clauses}\nRemember: my policy number is HX-7712."
    assert len(paste) > 70_000
    found = await lived([[fact] for fact in FACTS] + [[paste]], "What is my policy number?", 1)
    assert "HX-7712" in texts(found)[0]
