"""Everyday sentences in fourteen languages, written to teach the reading of closed lips."""

from __future__ import annotations

LESSONS: dict[str, tuple[str, ...]] = {
    "nl": (
        "Mijn moeder bakt elke morgen brood met boter en bosbessen.",
        "De boot vaart langzaam over het brede water naar Amsterdam.",
        "Wij hebben beloofd om op tijd bij de bakker te komen.",
        "Dat is een mooi verhaal over een oude stad.",
        "Probeer maar eens een beetje langzamer te spreken.",
    ),
    "sv": (
        "Min mamma bakar bröd och bullar på lördag morgon.",
        "Barnen springer över bron och badar i sjön.",
        "Jag behöver en ny bok om svampar och bär.",
        "Det är kallt i dag men solen skiner.",
        "Pappa pratar med sin bror om bilen.",
    ),
    "el": (
        "Η μητέρα μου μαγειρεύει μπάμιες και πατάτες.",
        "Ο μπαμπάς πίνει μπίρα με τον φίλο του.",
        "Αύριο το πρωί πάμε όλοι μαζί στη θάλασσα.",
        "Το παιδί παίζει με την μπάλα στον κήπο.",
        "Πόσο κάνει αυτό το όμορφο βιβλίο;",
    ),
    "hu": (
        "Az anyukám minden reggel kenyeret és vajat vásárol.",
        "A barátom a nagy budapesti állomáson várt.",
        "Kérem, mondja meg, mennyibe kerül ez a piros alma.",
        "Szép idő van, menjünk el a parkba sétálni.",
        "A macska az ablakban alszik, a kutya ugat.",
    ),
    "ro": (
        "Mama cumpără pâine, brânză și mere de la piață.",
        "Bunica mea are o casă mare lângă pădure.",
        "Prietenul meu bea apă și mănâncă un măr.",
        "Vreau să merg la plajă cu băiatul acesta.",
        "Limba română este frumoasă și bogată.",
    ),
    "cs": (
        "Maminka koupila chleba, máslo a jablka na pouti.",
        "Babička bydlí v malém domě blízko lesa.",
        "Můj bratr pracuje v bance v Brně.",
        "Potřebuji novou knihu o přírodě a památkách.",
        "Dobrý den, kolik to stojí?",
    ),
    "uk": (
        "Мама купила хліб, масло та яблука на базарі.",
        "Мій брат любить читати книги про подорожі.",
        "Бабуся живе біля великого парку.",
        "Сьогодні гарна погода, пішли гуляти.",
        "Будь ласка, допоможіть мені знайти вокзал.",
    ),
    "bn": (
        "আমার বাবা বাজার থেকে মাছ আর ফল কিনে আনেন।",
        "আমি প্রতিদিন সকালে বই পড়ি।",
        "ভাই বোন মিলে পুকুরে মাছ ধরে।",
        "আজ আবহাওয়া খুব ভালো।",
        "মা আমাকে অনেক ভালোবাসে।",
    ),
    "ta": (
        "என் அம்மா பால் மற்றும் பழம் வாங்கினார்.",
        "நம் பாட்டி பெரிய வீட்டில் வாழ்கிறார்.",
        "நான் புத்தகம் படிக்க விரும்புகிறேன்.",
        "இன்று மழை பெய்கிறது.",
        "தம்பி பம்பரம் விடுகிறான்.",
    ),
    "fa": (
        "مادرم از بازار نان و میوه خرید.",
        "برادر من کتاب‌های خوب می‌خواند.",
        "بابا با بچه‌ها به باغ رفت.",
        "امروز هوا خیلی خوب است.",
        "ممنون، من آب می‌خواهم.",
    ),
    "ca": (
        "La meva mare prepara pa amb tomàquet cada matí.",
        "Un bon amic meu viu a prop del port de Barcelona.",
        "Avui fa molt bon temps, anem a passejar per la platja.",
        "El nen beu un got d'aigua i menja una poma.",
        "També busco un llibre sobre la història del poble.",
    ),
    "pt": (
        "O meu pai comprou um bom livro na cidade.",
        "A minha mãe bebe água e come pão com manteiga.",
        "Amanhã vamos à praia com os nossos amigos.",
        "Obrigado pela sua ajuda, foi muito amável.",
        "O gato dorme debaixo da mesa.",
    ),
    "da": (
        "Min mor bager brød og boller hver lørdag.",
        "Børnene bader i bugten om sommeren.",
        "Jeg skal købe en billet til banegården.",
        "Det er koldt i dag, men solen skinner.",
        "Min bror arbejder på et bibliotek.",
    ),
    "te": (
        "మా అమ్మ పాలు, పండ్లు కొన్నది.",
        "నా తమ్ముడు బడికి వెళ్తాడు.",
        "బాబు పుస్తకం చదువుతున్నాడు.",
        "ఈ రోజు వాతావరణం బాగుంది.",
        "మామయ్య బంగారం కొన్నాడు.",
    ),
}
"""By voice of espeak-ng; none of them is in `tests.bench.sentences`."""

ENGLISH = (
    "We wondered why the winter wind would blow away the whole wall.",
    "Would you wait with me while I wash the wooden window?",
    "Few women knew how the new owl flew away with two wet worms.",
    "I love water, and I have walked across every wide river with joy.",
    "The quick queen was quite well, so we went west on a slow white swan.",
    "Bob bought a big brown pumpkin for my mother.",
    "Some people may prefer a simple supper of ham and bread by the lamp.",
    "Leave one wheel where it was, and move all the others away.",
    "Who knew you would show us so few of those old yellow shoes?",
    "He hid in the dark hall and heard a child sing long songs.",
    "My uncle can not dig in the garden, nor can he sell the land again.",
    "Five wolves were watching us from above the stove.",
)
"""A w in many surroundings, after v too: lips that nearly close, and do not."""
