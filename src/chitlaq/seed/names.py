"""Names of the demo's members and universities: international, plausible, and fictitious."""

from __future__ import annotations

from typing import NamedTuple


class University(NamedTuple):
    name: str
    domain: str
    share: float
    """Of all members; the first one, which every embedded stack knows, is the largest."""


# `.example` is reserved (RFC 2606), so no mail reaches anybody.
UNIVERSITIES = (
    University("Example University", "example.edu", 0.45),
    University("Northfield University", "northfield.example", 0.18),
    University("Universität Seestadt", "seestadt.example", 0.13),
    University("Lakeview Institute of Technology", "lakeview.example", 0.11),
    University("Universidad de Monteclaro", "monteclaro.example", 0.08),
    University("Kijani University", "kijani.example", 0.05),
)


class Person(NamedTuple):
    username: str
    display_name: str
    department: str
    bio: str


# Part of every demo, whatever its size; all at Example University.
DEMO = (
    Person(
        "ada", "Ada Lovelace", "Mathematics", "Notes longer than the paper. Ask me about loops."
    ),
    Person("grace", "Grace Hopper", "Computer Science", "I carry a nanosecond in my pocket."),
    Person("alan", "Alan Turing", "Computer Science", "Runner, tea drinker, occasional machine."),
    Person("emmy", "Emmy Noether", "Mathematics", "Symmetry first. Walks after the seminar."),
    Person("marie", "Marie Curie", "Physics", "In the lab until it glows. First-year tutor."),
    Person("rosalind", "Rosalind Franklin", "Chemistry", "Crystals, climbing, cooking for eight."),
    Person("srinivasa", "Srinivasa Ramanujan", "Mathematics", "1729 is not a dull number."),
    Person("chien", "Chien-Shiung Wu", "Physics", "Check it by experiment. Then check again."),
    Person("george", "George Boole", "Philosophy", "True or false, I will bring biscuits."),
    Person("hedy", "Hedy Lamarr", "Engineering", "Radio club, film club, hopping between both."),
)


class Names(NamedTuple):
    first: str
    last: str


# First and last names by region.
PEOPLES = (
    Names(
        "Olivia Emma Charlotte Amelia Lucy Hannah Sophie Megan Jack Oliver Harry Thomas Daniel"
        " Samuel Ethan Callum Ruby Isla Freddie Owen",
        "Smith Jones Taylor Brown Wilson Evans Walker Wright Hughes Green Hall Wood Clarke Baker"
        " Turner Cooper Ward Morgan Bennett Fletcher",
    ),
    Names(
        "Anna Lena Johanna Mia Clara Greta Frieda Lotte Lukas Jonas Felix Paul Moritz Emil Anton"
        " Jürgen Käthe Till Jannik Theresa",
        "Müller Schmidt Schneider Fischer Weber Wagner Becker Hoffmann Schäfer Koch Richter Klein"
        " Wolf Neumann Schröder Krüger Vogel Großmann Lorenz Busch",
    ),
    Names(
        "Lucía Sofía Martina Valeria Camila Elena Inés Carmen Mateo Diego Javier Andrés Pablo"
        " Santiago Álvaro Joaquín Ximena Renata Emilio Tomás",
        "García Rodríguez Martínez López Hernández González Pérez Sánchez Ramírez Torres Flores"
        " Castillo Morales Ortega Núñez Vargas Rojas Mendoza Ibáñez Cárdenas",
    ),
    Names(
        "Beatriz Mariana Inês Leonor Joana Catarina Larissa Fernanda João Tiago Rafael Gustavo"
        " Miguel Caio Thiago Bruno Duarte Vitória Luana Renato",
        "Silva Santos Oliveira Souza Pereira Costa Ferreira Almeida Ribeiro Carvalho Gomes Lopes"
        " Araújo Barbosa Moreira Cardoso Teixeira Correia Nogueira Magalhães",
    ),
    Names(
        "Camille Léa Manon Chloé Inès Juliette Élise Margaux Hugo Louis Gabriel Théo Antoine"
        " Baptiste Maxime Noé Jeanne Agathe Rémi Clément",
        "Martin Bernard Dubois Moreau Laurent Lefèvre Girard Mercier Fontaine Chevalier Gauthier"
        " Perrin Rousseau Marchand Lemaire Renard Besson Carpentier Aubert Delorme",
    ),
    Names(
        "Aarav Vihaan Arjun Rohan Karthik Siddharth Nikhil Pranav Ananya Diya Priya Kavya Meera"
        " Ishita Nandini Lakshmi Aditi Shreya Varun Harish",
        "Sharma Patel Iyer Nair Reddy Gupta Singh Menon Rao Das Banerjee Chatterjee Joshi Kulkarni"
        " Desai Mehta Bhat Pillai Verma Mukherjee",
    ),
    Names(
        "Wei Xin Yuchen Haoran Zihan Yifan Jiayi Mengyao Ruoxi Xinyi Lin Bo Yan Jun Qing Shuang"
        " Tianyu Zhe Yuxuan Kexin",
        "Wang Li Zhang Liu Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo He Lin Luo Zheng",
    ),
    Names(
        "Yui Hina Sakura Aoi Mio Haruka Nanami Akari Ren Haruto Sota Yuto Kaito Riku Daiki Kenji"
        " Takumi Emi Shun Naoko",
        "Sato Suzuki Takahashi Tanaka Watanabe Ito Yamamoto Nakamura Kobayashi Kato Yoshida Yamada"
        " Sasaki Matsumoto Inoue Kimura Hayashi Shimizu Mori Ikeda",
    ),
    Names(
        "Minjun Seojun Jiho Hyunwoo Donghyun Taeyang Jiwoo Seoyeon Haeun Minseo Jisoo Yuna Sumin"
        " Chaewon Eunji Sangmin Junseo Dahye Hyejin Woojin",
        "Kim Lee Park Choi Jung Kang Cho Yoon Jang Lim Han Oh Seo Shin Kwon Hwang Ahn Song Yoo Hong",
    ),
    Names(
        "Layla Fatima Nour Yasmin Mariam Amira Salma Huda Omar Youssef Karim Tariq Hassan Ziad"
        " Samir Khalil Rania Dina Bilal Idris",
        "Haddad Mansour Khalil Nasser Farouk Saleh Hamdan Aziz Rahman Darwish Sayegh Qasim Bakri"
        " Shaheen Zayed Barakat Najjar Othman Hakimi Suleiman",
    ),
    Names(
        "Chioma Ngozi Amara Adaeze Ifeoma Folake Temitope Yetunde Chinedu Emeka Obinna Tunde"
        " Babajide Kelechi Segun Ikenna Zainab Halima Musa Damilola",
        "Okafor Adeyemi Eze Okonkwo Balogun Nwosu Adebayo Obi Ogunleye Chukwu Bello Abubakar"
        " Olawale Uche Akintola Danjuma Onyeka Ibekwe Adeleke Oyelaran",
    ),
    Names(
        "Wanjiku Achieng Njeri Akinyi Wambui Atieno Nyambura Makena Kamau Otieno Mwangi Kiprop"
        " Ochieng Kipchoge Njoroge Baraka Juma Zawadi Neema Imani",
        "Kariuki Odhiambo Kimani Wanjala Mutua Onyango Cheruiyot Kiptoo Ngugi Muthoni Ouma Langat"
        " Gitau Maina Owuor Nyaga Koech Waweru Simiyu Chebet",
    ),
    Names(
        "Zofia Hanna Maja Zuzanna Alicja Magdalena Katarzyna Jakub Kacper Filip Michał Wojciech"
        " Paweł Łukasz Tomasz Oskar Agnieszka Ewa Igor Małgorzata",
        "Nowak Kowalski Wiśniewski Wójcik Kamiński Lewandowski Zieliński Szymański Woźniak Dąbrowski"
        " Mazur Krawczyk Piotrowski Grabowski Pawlak Jabłoński Sikora Baran Duda Szewczyk",
    ),
    Names(
        "Elif Zeynep Defne Ayşe Merve Selin Ece Büşra Mehmet Emre Burak Can Kerem Deniz Onur"
        " Barış Yiğit Gökçe Ozan Tuğba",
        "Yılmaz Kaya Demir Şahin Çelik Yıldız Aydın Öztürk Arslan Doğan Kılıç Aslan Çetin Koç"
        " Kurt Özdemir Polat Erdoğdu Güneş Aksoy",
    ),
    Names(
        "Linh Trang Mai Huong Thao Lan Ngoc Quynh Minh Tuan Duc Khanh Long Nam Quang Bao Hieu Vy"
        " Phuong Anh",
        "Nguyen Tran Le Pham Hoang Phan Vu Dang Bui Do Ho Ngo Duong Ly Truong Dinh Lam Mai Trinh"
        " Cao",
    ),
    Names(
        "Astrid Freja Ingrid Saga Linnea Signe Sigrid Aino Magnus Lars Erik Nils Søren Anders"
        " Mikkel Oskari Eino Åsa Björn Tuva",
        "Hansen Johansson Nielsen Larsen Andersson Olsen Lindqvist Bergström Nygård Sørensen"
        " Virtanen Korhonen Dahl Haugen Strand Holm Ekström Mäkinen Lund Østergaard",
    ),
    Names(
        "Giulia Chiara Francesca Martina Elisa Ilaria Lorenzo Matteo Alessandro Davide Niccolò"
        " Pietro Eleni Katerina Ioanna Nikos Giorgos Dimitris Vasilis Aurora",
        "Rossi Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Conti Papadopoulos"
        " Nikolaidis Georgiou Vlachos Economou Angelis Galli Rinaldi Moretti Karras",
    ),
)

DEPARTMENTS: dict[str, tuple[str, ...]] = {
    "Computer Science": ("operating systems", "compilers", "databases", "computer networks"),
    "Mathematics": ("linear algebra", "real analysis", "topology", "number theory"),
    "Physics": ("quantum mechanics", "thermodynamics", "optics", "electrodynamics"),
    "Chemistry": ("organic chemistry", "spectroscopy", "physical chemistry", "lab safety"),
    "Biology": ("genetics", "cell biology", "ecology", "evolution"),
    "Medicine": ("anatomy", "pharmacology", "physiology", "medical ethics"),
    "Engineering": ("control theory", "fluid mechanics", "materials", "signals and systems"),
    "Economics": ("microeconomics", "game theory", "econometrics", "public finance"),
    "Law": ("contract law", "constitutional law", "legal writing", "European law"),
    "Psychology": ("cognitive psychology", "statistics", "memory and learning", "perception"),
    "History": ("medieval history", "archive methods", "oral history", "economic history"),
    "Philosophy": ("logic", "ethics", "philosophy of mind", "epistemology"),
    "Languages": ("phonetics", "translation", "comparative literature", "syntax"),
    "Architecture": ("structural design", "urban planning", "drawing", "building physics"),
}
"""Courses by department."""

INTERESTS = (
    "climbing", "board games", "choir", "rowing", "film photography", "baking", "chess",
    "salsa", "football", "ceramics", "birdwatching", "open source", "astronomy", "poetry",
    "cycling", "volleyball", "improv theatre", "gardening", "running", "crosswords", "jazz",
    "hiking", "robotics", "debating", "sewing", "swimming", "table tennis", "cooking",
)  # fmt: skip

BIOS = (
    "{department}, {year}. Into {interest} and {interest2}.",
    "{year} in {department}. Mostly {interest} at weekends.",
    "Studying {department}; {interest}, {interest2}, too much coffee.",
    "{interest} person who somehow ended up in {department}.",
    "Here for {department}, staying for the {interest} society.",
    "PhD student in {department}. Ask me about {interest}.",
    "Teaching assistant, {department}. Off duty: {interest} and {interest2}.",
    "{department} by day, {interest} by night.",
)

YEARS = ("first year", "second year", "third year", "fourth year", "master's", "exchange student")
