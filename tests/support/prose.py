"""What people say to an agent that is not about the code at hand, in several languages."""

PROSE = """
Hello!
hi there, how are you today?
Thanks a lot, that was really helpful!
thanks, works now
Good morning! What can you do?
Who are you and which model are you based on?
Please continue.
yes, do it
No, that is not what I meant.
ok
lgtm 👍
What is the difference between TCP and UDP?
Explain to me how a neural network learns.
What's the capital of Australia?
Can you recommend a good book about software architecture?
Write a haiku about autumn.
Tell me a joke about programmers.
What is a monad? Please explain it with a simple metaphor.
How do I convince my boss to pay for a bigger monitor?
Summarize the plot of Hamlet in three sentences.
What are the advantages of electric cars over diesel cars?
How does photosynthesis work?
Translate "good night" into Greek, Swedish and Danish.
I am feeling a bit tired today. Any advice?
What is the weather like in Lisbon in November?
Which is better for beginners, Rust or Haskell?
Should I learn Kubernetes or Terraform first, and how long would it take me?
Hallo, wie geht es dir?
Danke, das hat geholfen!
Was ist der Unterschied zwischen einem Prozess und einem Thread?
Erkläre mir bitte, wie ein Dieselmotor funktioniert.
Wie wird das Wetter morgen in Hamburg?
Schreib mir ein kurzes Gedicht über den Herbst.
Kannst du mir ein gutes Restaurant in Wien empfehlen?
Was kannst du alles?
Mach bitte weiter.
Bonjour, comment ça va ?
Merci beaucoup, c'est parfait.
Quelle est la différence entre la mitose et la méiose ?
Peux-tu m'expliquer la théorie de la relativité ?
Raconte-moi une histoire drôle.
Hola, ¿qué tal?
Muchas gracias por tu ayuda.
¿Cuál es la capital de Noruega?
Explícame cómo funciona la fotosíntesis.
¿Qué me recomiendas leer este verano?
Ciao, come stai?
Qual è la differenza tra un gelato e un sorbetto?
Olá, tudo bem?
Obrigado pela ajuda, ficou ótimo!
Explique a diferença entre inflação e deflação.
Привет, как дела?
Спасибо, всё работает!
Объясни, пожалуйста, как работает квантовый компьютер.
Чем отличается чай от кофе?
你好！
谢谢你的帮助。
请解释一下什么是区块链。
今天天气怎么样？
こんにちは、元気ですか？
ありがとうございます！
相対性理論を簡単に説明してください。
안녕하세요! 오늘 기분이 어때요?
고마워요, 잘 됐어요.
양자 역학을 쉽게 설명해 주세요.
Hoi, hoe gaat het met je?
Wat is het verschil tussen een kikker en een pad?
Merhaba, nasılsın?
Cześć, jak się masz?
नमस्ते, आप कैसे हैं?
مرحبا، كيف حالك؟
""".strip().split("\n")
